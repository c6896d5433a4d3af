// @ts-check
// The construct, without AWS: what it offers, what it refuses, and what it makes of the template.

"use strict";

const assert = require("node:assert/strict");
const { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const path = require("node:path");
const { after, test } = require("node:test");

const { App, CfnOutput, Stack } = require("aws-cdk-lib");
const { Template } = require("aws-cdk-lib/assertions");
const { Topic } = require("aws-cdk-lib/aws-sns");
const ts = require("typescript");

const { ChtAfricasTalking } = require("../index");
const { propertyName, read } = require("../template");

const PROJECT = path.join(__dirname, "../../..");
const TEMPLATE_FILE = path.join(PROJECT, "infra/template.yaml");
const FUNCTIONS = ["delivery-reports", "incoming-messages", "medic-exchange", "outbound-sender", "report-recorder"];

const template = read(TEMPLATE_FILE);
const folder = mkdtempSync(path.join(tmpdir(), "cht-africastalking-test-"));
after(() => rmSync(folder, { recursive: true }));

/** A checkout with functions, of which CDK only needs the folders. */
const checkout = path.join(folder, "checkout");
/** A bundle for two processors. */
const bundle = path.join(folder, "bundle");

for (const name of FUNCTIONS) {
  const built = path.join(checkout, "target/lambda", name);
  mkdirSync(built, { recursive: true });
  writeFileSync(path.join(built, "bootstrap"), name);
  for (const architecture of ["x86_64", "arm64"]) {
    const packages = path.join(bundle, "functions", architecture);
    mkdirSync(packages, { recursive: true });
    writeFileSync(path.join(packages, `${name}.zip`), `${name} for ${architecture}`);
  }
}
mkdirSync(path.join(checkout, "infra"));
cpSync(TEMPLATE_FILE, path.join(checkout, "infra/template.yaml"));
const text = readFileSync(TEMPLATE_FILE, "utf8");
for (const [name, architecture] of [["template.yaml", "x86_64"], ["template-arm64.yaml", "arm64"]]) {
  // Each of a bundle's templates knows the processor of its packages only.
  const one = text.replace("AllowedValues: [x86_64, arm64]", `AllowedValues: [${architecture}]`);
  assert.notEqual(one, text);
  writeFileSync(path.join(bundle, name), one);
}

function newApp() {
  return new App({ analyticsReporting: false, outdir: mkdtempSync(path.join(folder, "out-")) });
}

/**
 * @param {Partial<import("../index").ChtAfricasTalkingProps>} props
 * @param {Stack} stack
 */
function bridge(props, stack = new Stack(newApp(), "Bridge")) {
  const source = props.bundle ? {} : { checkout };
  return new ChtAfricasTalking(stack, "Bridge", { ...source, medicUrl: "https://medic.example.org", ...props });
}

/** @param {import("constructs").Construct} construct */
const synthesised = (construct) => Template.fromStack(Stack.of(construct)).toJSON();

const TYPES = ts.createSourceFile(
  "index.d.ts",
  readFileSync(path.join(__dirname, "../index.d.ts"), "utf8"),
  ts.ScriptTarget.Latest,
  true,
);

/**
 * The properties that a declaration of index.d.ts has.
 * @param {string} name
 */
function declared(name) {
  const declaration = TYPES.statements.find(
    (statement) =>
      (ts.isInterfaceDeclaration(statement) || ts.isClassDeclaration(statement)) && statement.name?.text === name,
  );
  assert.ok(declaration && (ts.isInterfaceDeclaration(declaration) || ts.isClassDeclaration(declaration)));
  /** @type {ts.NodeArray<ts.Node>} */
  const members = declaration.members;
  return members.filter((member) => ts.isPropertySignature(member) || ts.isPropertyDeclaration(member));
}

test("the properties are exactly the template's parameters", () => {
  const properties = declared("ChtAfricasTalkingParameters").map((property) => {
    const [byDefault] = ts.getJSDocTags(property).filter((tag) => tag.tagName.text === "default");
    return {
      name: property.name.getText(),
      isOptional: property.questionToken !== undefined,
      type: property.type?.getText(),
      default: byDefault && JSON.parse(String(byDefault.comment)),
    };
  });
  const parameters = Object.entries(template.Parameters).map(([name, parameter]) => ({
    name: propertyName(name),
    isOptional: parameter.Default !== undefined,
    type:
      parameter.AllowedValues?.map((value) => JSON.stringify(value)).join(" | ") ?? parameter.Type.toLowerCase(),
    default: parameter.Default,
  }));
  /** @param {{ name: string }} one @param {{ name: string }} other */
  const byName = (one, other) => one.name.localeCompare(other.name);
  assert.deepEqual(properties.sort(byName), parameters.sort(byName));
});

test("the construct has what its types declare", () => {
  const domain = { domainName: "sms.example.org", certificateArn: "arn:aws:acm:eu-west-1:123456789012:certificate/a" };
  const construct = bridge({ ...domain, alarmTopicArn: "arn:aws:sns:eu-west-1:123456789012:on-call" });
  const names = declared("ChtAfricasTalking").map((property) => property.name.getText());
  const own = Object.keys(construct).filter((name) => name !== "node");
  assert.deepEqual(own.sort(), names.sort());
  for (const name of names) {
    assert.notEqual(/** @type {any} */ (construct)[name], undefined, name);
  }
});

test("nothing of the template is left to be decided by CloudFormation", () => {
  const { Conditions, Parameters, Rules, Resources } = synthesised(bridge({ medicTimeoutSeconds: 30 }));
  assert.equal(Conditions, undefined);
  assert.deepEqual(Object.keys(Parameters), ["BootstrapVersion"]);
  assert.deepEqual(Object.keys(Rules), ["CheckBootstrapVersion"]);
  assert.equal(JSON.stringify(Resources).includes("Fn::If"), false);
  const { Variables } = Resources.MedicExchangeFunction.Properties.Environment;
  assert.equal(Variables.MEDIC_URL, "https://medic.example.org");
  assert.equal(Variables.MEDIC_TIMEOUT_SECONDS, "30");
  assert.equal(Resources.CallbackDomain, undefined);
  assert.equal(Resources.FaultsAlarm.Properties.AlarmActions, undefined);
});

test("the topic for the alarms can be one of the same stack", () => {
  const stack = new Stack(newApp(), "Bridge");
  const topic = new Topic(stack, "OnCall");
  const { Resources } = synthesised(bridge({ alarmTopicArn: topic.topicArn }, stack));
  const [name] = Object.keys(Resources).filter((resource) => resource.startsWith("OnCall"));
  assert.deepEqual(Resources.FaultsAlarm.Properties.AlarmActions, [{ Ref: name }]);
});

test("another stack can use what the bridge offers", () => {
  const app = newApp();
  const construct = bridge({}, new Stack(app, "Bridge"));
  const other = new Stack(app, "Other");
  new CfnOutput(other, "Queue", { value: construct.exchangeDeadLetterQueue.queueName });
  new CfnOutput(other, "Url", { value: construct.incomingMessagesCallbackUrl });
  const { Outputs } = Template.fromStack(other).toJSON();
  assert.match(JSON.stringify(Outputs.Queue), /ImportValue/);
  assert.match(JSON.stringify(Outputs.Url), /ImportValue.*incoming-messages\?key=/);
});

test("the callback URLs have the host name of one's own", () => {
  const certificateArn = "arn:aws:acm:eu-west-1:123456789012:certificate/a";
  const construct = bridge({ domainName: "sms.example.org", certificateArn });
  const { Outputs } = synthesised(construct);
  assert.equal(Outputs.OptOutsCallbackUrl.Value["Fn::Sub"], construct.optOutsCallbackUrl);
  assert.match(construct.optOutsCallbackUrl, /^https:\/\/sms\.example\.org\/.*\/opt-outs\?key=$/);
});

test("the packages of a bundle are those of its processor", () => {
  for (const architecture of /** @type {const} */ (["x86_64", "arm64"])) {
    const construct = bridge({ bundle, architecture });
    const stack = Stack.of(construct);
    const assembly = /** @type {App} */ (stack.node.root).synth();
    const { Globals, Resources } = assembly.getStackByName(stack.stackName).template;
    assert.deepEqual(Globals.Function.Architectures, [architecture]);
    const functions = Object.values(Resources).filter(({ Type }) => Type === "AWS::Serverless::Function");
    const packages = functions.map(({ Properties }) => {
      const file = path.join(assembly.directory, `asset.${Properties.CodeUri.Key}`);
      return readFileSync(file, "utf8");
    });
    assert.deepEqual(packages.sort(), FUNCTIONS.map((name) => `${name} for ${architecture}`));
  }
});

test("what CloudFormation would refuse is refused at once", () => {
  /** @type {[any, RegExp][]} */
  const refused = [
    [{ medicUrl: undefined }, /medicUrl is missing/],
    [{ medicUrl: "https://medic.example.org/api" }, /medicUrl cannot be .*nothing after it/],
    [{ medicURL: "https://medic.example.org" }, /no such property: medicURL/],
    [{ medicTimeoutSeconds: 61 }, /a number from 2 to 60/],
    [{ medicTimeoutSeconds: "soon" }, /a number from 2 to 60/],
    [{ optOutText: "x".repeat(161) }, /at most 160 characters/],
    [{ unknownOutcomePolicy: "resend-twice" }, /one of resend-once, hold/],
    [{ domainName: "sms.example.org" }, /DomainName needs CertificateArn/],
    [{ bundle, checkout }, /Either bundle or checkout/],
    [{ bundle: undefined, checkout: undefined }, /Either bundle or checkout/],
  ];
  for (const [props, message] of refused) {
    assert.throws(() => bridge(props), message);
  }
});

test("the package has the project's version", () => {
  const workspace = readFileSync(path.join(PROJECT, "Cargo.toml"), "utf8");
  const manifest = JSON.parse(readFileSync(path.join(__dirname, "../package.json"), "utf8"));
  assert.equal(manifest.version, workspace.match(/^version = "(.*)"$/m)?.[1]);
});
