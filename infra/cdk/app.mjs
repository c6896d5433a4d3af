// @ts-check
// An example for those who deploy with CDK: the bridge, a topic that sends its alarms by mail, and a host name of one's own
// for the callback URLs. What differs between deployments is in the context: in cdk.json, or as `--context NAME=VALUE`.

import path from "node:path";
import { fileURLToPath } from "node:url";

import { App, Stack } from "aws-cdk-lib";
import { Certificate, CertificateValidation } from "aws-cdk-lib/aws-certificatemanager";
import { CnameRecord, HostedZone } from "aws-cdk-lib/aws-route53";
import { Topic } from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";

import { ChtAfricasTalking } from "./index.js";

const app = new App();

/**
 * @param {string} name
 * @returns {string | undefined} `undefined` also when it is empty
 */
const context = (name) => app.node.tryGetContext(name) || undefined;

/** @param {string} name */
function required(name) {
  const value = context(name);
  if (value === undefined) {
    throw new Error(`The context has no ${name}: fill it in in cdk.json, or add --context ${name}=VALUE`);
  }
  return value;
}

const stack = new Stack(app, context("stack") ?? "cht-africastalking");

// Whoever is called when something is wrong. AWS asks for a confirmation by mail before it sends the first alarm.
const alarmEmail = context("alarmEmail");
const alarms = alarmEmail && new Topic(stack, "Alarms");
if (alarms) {
  alarms.addSubscription(new EmailSubscription(alarmEmail));
}

// The callback URLs keep this name when the stack is replaced. The zone must be in Route 53.
const domainName = context("domainName");
const zone =
  domainName &&
  HostedZone.fromHostedZoneAttributes(stack, "Zone", {
    hostedZoneId: required("hostedZoneId"),
    zoneName: required("zoneName"),
  });
const certificate =
  zone && new Certificate(stack, "Certificate", { domainName, validation: CertificateValidation.fromDns(zone) });

// An unpacked release bundle, or else this checkout with the functions that `cargo build-functions` leaves in it.
const bundle = context("bundle");
const checkout = context("checkout") ?? path.join(path.dirname(fileURLToPath(import.meta.url)), "../..");

const bridge = new ChtAfricasTalking(stack, "Bridge", {
  ...(bundle ? { bundle } : { checkout }),
  medicUrl: required("medicUrl"),
  africasTalkingUsername: context("africasTalkingUsername"),
  senderIds: context("senderIds"),
  alarmTopicArn: alarms ? alarms.topicArn : undefined,
  domainName,
  certificateArn: certificate ? certificate.certificateArn : undefined,
});

if (zone && bridge.callbackDomainTarget) {
  new CnameRecord(stack, "CallbackRecord", {
    zone,
    recordName: `${domainName}.`,
    domainName: bridge.callbackDomainTarget,
  });
}
