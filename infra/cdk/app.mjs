// The same system for those who deploy with CDK: ../template.yaml itself, included as it is. Nothing is
// described here; what is added is what CDK needs to find the functions' packages.
//
//   cargo build-functions      (in the project's root)
//   npm ci
//   npx cdk bootstrap          (once for each account and region)
//   npx cdk deploy --parameters MedicUrl=https://medic.example.org
//
// The stack's name is not the usual one: `cargo ops` needs `--stack cht-africastalking`, or the variable OPS_STACK.
//
// Context: `stack` is the stack's name, `functions` the folder with the functions as `cargo build-functions` leaves them.

import { fileURLToPath } from "node:url";
import path from "node:path";

import { App, Stack } from "aws-cdk-lib";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { Asset } from "aws-cdk-lib/aws-s3-assets";

const here = path.dirname(fileURLToPath(import.meta.url));

const FUNCTIONS = [
  "incoming-messages",
  "delivery-reports",
  "report-recorder",
  "outbound-sender",
  "medic-exchange",
];

/** The functions' packages lie on this machine: CDK brings them to AWS, as SAM would. */
function bringFunctions(stack, template, folder) {
  for (const name of FUNCTIONS) {
    const resource = name.replace(/(^|-)([a-z])/g, (_match, _dash, letter) => letter.toUpperCase());
    const asset = new Asset(stack, `${resource}Package`, { path: path.join(folder, name) });
    const lambda = template.getResource(`${resource}Function`);
    lambda.codeUri = { bucket: asset.s3BucketName, key: asset.s3ObjectKey };
  }
}

const app = new App();
const name = app.node.tryGetContext("stack") ?? "cht-africastalking";
const functions = app.node.tryGetContext("functions") ?? path.join(here, "../../target/lambda");

const stack = new Stack(app, name, { analyticsReporting: false });
const template = new CfnInclude(stack, "Template", {
  templateFile: path.join(here, "../template.yaml"),
});
bringFunctions(stack, template, functions);
