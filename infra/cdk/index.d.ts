import type { IHttpApi } from "aws-cdk-lib/aws-apigatewayv2";
import type { IAlarm } from "aws-cdk-lib/aws-cloudwatch";
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import type { ISecret } from "aws-cdk-lib/aws-secretsmanager";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import type { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { Construct } from "constructs";

/**
 * The template's parameters: `medicUrl` is `MedicUrl`. The template explains each in full. A value is checked when the
 * application runs; one that is known only when it is deployed, such as the ARN of a new topic, counts as given.
 */
export interface ChtAfricasTalkingParameters {
  /** Where Medic is, without a path: `https://medic.example.org`. */
  readonly medicUrl: string;

  /**
   * After so many seconds the outcome of a request to Medic is in doubt; 2 to 60.
   * @default 60
   */
  readonly medicTimeoutSeconds?: number;

  /**
   * For so many seconds after that Medic may still be working on it, and gets nothing new; 2 to 600.
   * @default 60
   */
  readonly medicGraceSeconds?: number;

  /**
   * The user name of the application at Africa's Talking; `sandbox` is its simulator.
   * @default "sandbox"
   */
  readonly africasTalkingUsername?: string;

  /**
   * The sender that phones see, also by number prefix: `MYORG,+256=20880`. Empty: Africa's Talking's own.
   * @default ""
   */
  readonly senderIds?: string;

  /**
   * Another address of Africa's Talking, for tests. Empty: the user name decides.
   * @default ""
   */
  readonly africasTalkingBaseUrl?: string;

  /**
   * The text of the SMS that tells Medic of an opt-out. Empty: Medic is not told.
   * @default ""
   */
  readonly optOutText?: string;

  /**
   * A host name of your own for the callback URLs. It needs `certificateArn`, and a CNAME record that leads to
   * {@link ChtAfricasTalking.callbackDomainTarget}.
   * @default ""
   */
  readonly domainName?: string;

  /**
   * The certificate for `domainName` in AWS Certificate Manager, in the stack's region.
   * @default ""
   */
  readonly certificateArn?: string;

  /**
   * So many concurrent executions of the account are kept for each of the two webhooks; 0 keeps none.
   * @default 0
   */
  readonly webhookReservedConcurrency?: number;

  /**
   * What happens when nobody knows whether a message was sent: it is sent again (it may arrive twice), or not (it may not
   * arrive).
   * @default "resend-once"
   */
  readonly unknownOutcomePolicy?: "resend-once" | "hold";

  /**
   * How many seconds a matching delivery report is awaited before a resend; 120 to 86,400.
   * @default 120
   */
  readonly resendAfterSeconds?: number;

  /**
   * A message that could not be sent for so many hours fails as expired; 1 to 240.
   * @default 72
   */
  readonly messageMaxAgeHours?: number;

  /**
   * How many messages one number may get in an hour.
   * @default 60
   */
  readonly recipientMessagesPerHour?: number;

  /**
   * How often one number may get the same text in a day.
   * @default 20
   */
  readonly recipientSameTextPerDay?: number;

  /**
   * For how many days a message is remembered after its last change; 90 to 3,650.
   * @default 90
   */
  readonly ledgerRetentionDays?: number;

  /**
   * For how many days the logs are kept.
   * @default 90
   */
  readonly logRetentionDays?: 7 | 14 | 30 | 60 | 90 | 120 | 150 | 180 | 365 | 400 | 545 | 731;

  /**
   * An SNS topic that is notified when an alarm begins and ends. It may be one of the same stack. Empty: nobody is called.
   * @default ""
   */
  readonly alarmTopicArn?: string;

  /**
   * An alarm is raised under so much credit with Africa's Talking, in the account's currency.
   * @default 100
   */
  readonly lowBalance?: number;

  /**
   * The processor for which the functions were built.
   * @default "x86_64"
   */
  readonly architecture?: "x86_64" | "arm64";
}

/** The properties of {@link ChtAfricasTalking}: the parameters, and one of `bundle` and `checkout`. */
export interface ChtAfricasTalkingProps extends ChtAfricasTalkingParameters {
  /** The folder of an unpacked release bundle: its template and the packages of its functions are deployed. */
  readonly bundle?: string;

  /** The folder of a checkout of the project in which `cargo build-functions` was run. */
  readonly checkout?: string;
}

/**
 * The bridge between Africa's Talking and a Medic server: the template of the project, as it is.
 *
 * All of it becomes part of the stack, under the names that the template gives it, and so do its outputs: the operator's
 * program finds it by them. So a stack has one bridge.
 */
export class ChtAfricasTalking extends Construct {
  constructor(scope: Construct, id: string, props: ChtAfricasTalkingProps);

  /** SMS, and statuses, on their way to Medic. */
  readonly exchangeQueue: IQueue;

  /** What Medic could not be given, with the reason. */
  readonly exchangeDeadLetterQueue: IQueue;

  /** SMS on their way to phones. */
  readonly outboxQueue: IQueue;

  /** SMS that could not be sent, with the reason. */
  readonly outboxDeadLetterQueue: IQueue;

  /** Delivery reports that are not in the ledger yet. */
  readonly reportsQueue: IQueue;

  /** Delivery reports that could not be recorded, with the reason. */
  readonly reportsDeadLetterQueue: IQueue;

  /** What became of each outgoing SMS. */
  readonly ledger: ITable;

  /** To be filled in after the deployment with Africa's Talking's API key, and Medic's user and password. */
  readonly credentialsSecret: ISecret;

  /** The key at the end of the callback URLs. */
  readonly incomingKeySecret: ISecret;

  /** All alarms, for example for a composite alarm. */
  readonly alarms: IAlarm[];

  /** The topic of `alarmTopicArn`, if one was given. */
  readonly alarmTopic?: ITopic;

  /** The API that Africa's Talking calls. */
  readonly httpApi: IHttpApi;

  /** What Africa's Talking calls with an SMS. The incoming key belongs at its end. */
  readonly incomingMessagesCallbackUrl: string;

  /** What Africa's Talking calls with a delivery report. The incoming key belongs at its end. */
  readonly deliveryReportsCallbackUrl: string;

  /** What Africa's Talking calls with an opt-out. The incoming key belongs at its end. */
  readonly optOutsCallbackUrl: string;

  /** Where the CNAME record of `domainName` leads, if there is one. */
  readonly callbackDomainTarget?: string;

  /** Everything else: each resource and output by its name in the template. */
  readonly template: CfnInclude;
}
