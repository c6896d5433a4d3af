// @ts-check
// The construct for CDK: ../template.yaml itself, or a release bundle's template, included as it is. No resource is described
// here; index.d.ts documents what is offered.

"use strict";

const { existsSync } = require("node:fs");
const path = require("node:path");

const { HttpApi } = require("aws-cdk-lib/aws-apigatewayv2");
const { Alarm } = require("aws-cdk-lib/aws-cloudwatch");
const { Table } = require("aws-cdk-lib/aws-dynamodb");
const { Asset } = require("aws-cdk-lib/aws-s3-assets");
const { Secret } = require("aws-cdk-lib/aws-secretsmanager");
const { Topic } = require("aws-cdk-lib/aws-sns");
const { Queue } = require("aws-cdk-lib/aws-sqs");
const { Construct } = require("constructs");

const { checkRules, include, parameterValues, read } = require("./template");

class ChtAfricasTalking extends Construct {
  /**
   * @param {Construct} scope
   * @param {string} id
   * @param {import("./index").ChtAfricasTalkingProps} props
   */
  constructor(scope, id, props) {
    super(scope, id);
    const { bundle, checkout, ...given } = props;
    const source = sourceOf(bundle, checkout, given.architecture);
    const template = read(source.template);
    const values = parameterValues(template, given);
    checkRules(template, values);

    const included = include(this, template, values);
    this.template = included;
    const resources = Object.entries(template.Resources);
    /** @param {string} type */
    const namesOf = (type) => resources.filter(([, { Type }]) => Type === type).map(([name]) => name);
    for (const name of namesOf("AWS::Serverless::Function")) {
      const lambda = /** @type {import("aws-cdk-lib/aws-sam").CfnFunction} */ (included.getResource(name));
      const asset = new Asset(this, `${name}Package`, { path: source.packageOf(name, String(values.Architecture)) });
      lambda.codeUri = { bucket: asset.s3BucketName, key: asset.s3ObjectKey };
    }

    /** @param {string} name */
    const attribute = (name, attribute = "Arn") => included.getResource(name).getAtt(attribute).toString();
    /** @param {string} name */
    const reference = (name) => included.getResource(name).ref;
    /** @param {string} name */
    const queue = (name, fifo = false) =>
      Queue.fromQueueAttributes(this, name, { queueArn: attribute(name), queueUrl: reference(name), fifo });

    this.exchangeQueue = queue("ExchangeQueue", true);
    this.exchangeDeadLetterQueue = queue("ExchangeDeadLetterQueue", true);
    this.outboxQueue = queue("OutboxQueue");
    this.outboxDeadLetterQueue = queue("OutboxDeadLetterQueue");
    this.reportsQueue = queue("ReportsQueue");
    this.reportsDeadLetterQueue = queue("ReportsDeadLetterQueue");
    this.ledger = Table.fromTableArn(this, "Ledger", attribute("Ledger"));
    this.credentialsSecret = Secret.fromSecretCompleteArn(this, "CredentialsSecret", reference("CredentialsSecret"));
    this.incomingKeySecret = Secret.fromSecretCompleteArn(this, "IncomingKeySecret", reference("IncomingKeySecret"));
    this.alarms = namesOf("AWS::CloudWatch::Alarm").map((name) => Alarm.fromAlarmArn(this, name, attribute(name)));
    this.alarmTopic = given.alarmTopicArn ? Topic.fromTopicArn(this, "AlarmTopic", given.alarmTopicArn) : undefined;

    const apiEndpoint = attribute("HttpApi", "ApiEndpoint");
    this.httpApi = HttpApi.fromHttpApiAttributes(this, "HttpApi", { httpApiId: reference("HttpApi"), apiEndpoint });
    const origin = given.domainName ? `https://${given.domainName}` : apiEndpoint;
    /** @param {string} name */
    const callbackUrl = (name) => {
      const route = /** @type {import("aws-cdk-lib/aws-apigatewayv2").CfnRoute} */ (included.getResource(name));
      return `${origin}${route.routeKey.replace("POST ", "")}?key=`;
    };
    this.incomingMessagesCallbackUrl = callbackUrl("IncomingMessagesRoute");
    this.deliveryReportsCallbackUrl = callbackUrl("DeliveryReportsRoute");
    this.optOutsCallbackUrl = callbackUrl("OptOutsRoute");
    this.callbackDomainTarget = given.domainName ? attribute("CallbackDomain", "RegionalDomainName") : undefined;
  }
}

/**
 * Where the template and the functions' packages are.
 * @param {string | undefined} bundle
 * @param {string | undefined} checkout
 * @param {string | undefined} architecture
 */
function sourceOf(bundle, checkout, architecture) {
  if (bundle !== undefined && checkout === undefined) {
    // The template of the bundle's second processor has its name in it.
    const ofArchitecture = path.join(bundle, `template-${architecture}.yaml`);
    return {
      template: existsSync(ofArchitecture) ? ofArchitecture : path.join(bundle, "template.yaml"),
      packageOf: (/** @type {string} */ resource, /** @type {string} */ processor) =>
        path.join(bundle, "functions", processor, `${functionName(resource)}.zip`),
    };
  }
  if (checkout !== undefined && bundle === undefined) {
    return {
      template: path.join(checkout, "infra/template.yaml"),
      packageOf: (/** @type {string} */ resource) => path.join(checkout, "target/lambda", functionName(resource)),
    };
  }
  throw new Error("Either bundle or checkout is the folder with the template and the functions");
}

/**
 * The name of a function's program: that of `MedicExchangeFunction` is `medic-exchange`.
 * @param {string} resource
 */
function functionName(resource) {
  const words = resource.replace(/Function$/, "").split(/(?=[A-Z])/);
  return words.join("-").toLowerCase();
}

module.exports = { ChtAfricasTalking };
