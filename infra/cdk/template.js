// @ts-check
// Reads the template, checks the values of its parameters, and decides its conditions, as CloudFormation would. The construct
// leaves neither parameters nor conditions to CloudFormation: `cdk deploy` keeps the previous value of a parameter whatever
// the code says, and a condition cannot depend on a resource, such as a topic of the same stack.

"use strict";

const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const path = require("node:path");

const { Token } = require("aws-cdk-lib");
const { CfnInclude } = require("aws-cdk-lib/cloudformation-include");
const YAML = require("yaml");

/** CloudFormation's functions in their short form: `!Sub` is `Fn::Sub`. */
const FUNCTIONS = ["Base64", "Equals", "FindInMap", "GetAtt", "If", "Join", "Not", "Select", "Split", "Sub"];

/**
 * A parameter as the template declares it.
 * @typedef {object} Parameter
 * @property {"String" | "Number"} Type
 * @property {string | number} [Default]
 * @property {string} [AllowedPattern]
 * @property {(string | number)[]} [AllowedValues]
 * @property {number} [MinValue]
 * @property {number} [MaxValue]
 * @property {number} [MaxLength]
 * @property {string} [ConstraintDescription]
 */

/**
 * A function of CloudFormation's in a condition or a rule: its name, and its arguments.
 * @typedef {{ [name: string]: any }} Expression
 */

/**
 * @typedef {object} Rule
 * @property {Expression} RuleCondition
 * @property {{ Assert: Expression, AssertDescription: string }[]} Assertions
 */

/**
 * The sections of the template that are needed here.
 * @typedef {object} Template
 * @property {{ [name: string]: Parameter }} Parameters
 * @property {{ [name: string]: Expression }} Conditions
 * @property {{ [name: string]: Rule }} Rules
 * @property {object} Metadata
 * @property {{ [name: string]: { Type: string } }} Resources
 */

/** @typedef {{ [parameter: string]: string | number }} Values */

/**
 * Reads a template, with each function in its long form.
 * @param {string} file
 * @returns {Template}
 */
function read(file) {
  const customTags = [...FUNCTIONS.map((name) => [name, `Fn::${name}`]), ["Ref", "Ref"]].flatMap(([short, long]) => [
    { tag: `!${short}`, resolve: (/** @type {string} */ text) => ({ [long]: text }) },
    ...(/** @type {const} */ (["seq", "map"])).map((collection) => ({
      tag: `!${short}`,
      collection,
      resolve: (/** @type {YAML.YAMLSeq | YAML.YAMLMap} */ operands) => {
        const call = new YAML.YAMLMap();
        call.set(long, operands);
        return call;
      },
    })),
  ]);
  const document = YAML.parseDocument(readFileSync(file, "utf8"), { customTags });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem) {
    throw new Error(`${file}: ${problem.message}`);
  }
  return document.toJS();
}

/**
 * Includes a template in which nothing is left to be decided.
 * @param {import("constructs").Construct} scope
 * @param {Template} template
 * @param {Values} values
 * @returns {CfnInclude}
 */
function include(scope, template, values) {
  // CDK takes a file and nothing else, and reads it at once.
  const folder = mkdtempSync(path.join(tmpdir(), "cht-africastalking-"));
  try {
    const templateFile = path.join(folder, "template.json");
    writeFileSync(templateFile, JSON.stringify(decided(template, values)));
    return new CfnInclude(scope, "Template", { templateFile, parameters: values });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * The property of the construct that stands for a parameter: `MedicUrl` is `medicUrl`.
 * @param {string} parameter
 */
function propertyName(parameter) {
  return parameter.charAt(0).toLowerCase() + parameter.slice(1);
}

/**
 * The value of each parameter: the given one, or else the default.
 * @param {Template} template
 * @param {{ [property: string]: string | number | undefined }} given
 * @returns {Values}
 */
function parameterValues(template, given) {
  const known = new Set(Object.keys(template.Parameters).map(propertyName));
  const unknown = Object.keys(given).filter((property) => !known.has(property));
  if (unknown.length > 0) {
    throw new Error(`There is no such property: ${unknown.join(", ")}`);
  }
  /** @type {Values} */
  const values = {};
  for (const [name, parameter] of Object.entries(template.Parameters)) {
    const property = propertyName(name);
    const value = given[property] ?? parameter.Default;
    if (value === undefined) {
      throw new Error(`${property} is missing, and has no default`);
    }
    const fault = faultOf(parameter, value);
    if (fault !== undefined) {
      throw new Error(`${property} cannot be “${value}”: ${fault}`);
    }
    values[name] = value;
  }
  return values;
}

/**
 * What is wrong with a value. One that is known only when it is deployed cannot be checked.
 * @param {Parameter} parameter
 * @param {string | number} value
 * @returns {string | undefined}
 */
function faultOf(parameter, value) {
  if (Token.isUnresolved(value)) {
    return undefined;
  }
  const { AllowedPattern, AllowedValues, ConstraintDescription, MaxLength, MaxValue, MinValue } = parameter;
  const text = String(value);
  if (AllowedValues && !AllowedValues.map(String).includes(text)) {
    return `it is one of ${AllowedValues.join(", ")}`;
  }
  if (AllowedPattern && !new RegExp(`^(?:${AllowedPattern})$`).test(text)) {
    return ConstraintDescription ?? `it has the form ${AllowedPattern}`;
  }
  if (MaxLength !== undefined && text.length > Number(MaxLength)) {
    return `it has at most ${MaxLength} characters`;
  }
  if (parameter.Type === "Number") {
    const number = text.trim() === "" ? NaN : Number(text);
    const least = Number(MinValue ?? -Infinity);
    const most = Number(MaxValue ?? Infinity);
    if (!(number >= least && number <= most)) {
      return `it is a number from ${least} to ${most}`;
    }
  }
  return undefined;
}

/**
 * Throws if the values break a rule of the template.
 * @param {Template} template
 * @param {Values} values
 */
function checkRules(template, values) {
  for (const { RuleCondition, Assertions } of Object.values(template.Rules)) {
    const broken = Assertions.find(({ Assert }) => !isTrue(Assert, values));
    if (broken && isTrue(RuleCondition, values)) {
      throw new Error(broken.AssertDescription);
    }
  }
}

/**
 * The template without conditions: what depends on one is there or not. Its rules are checked, and are gone as well, and so
 * is what the console needs to ask for parameters.
 * @param {Template} template
 * @param {Values} values
 * @returns {object}
 */
function decided({ Conditions, Rules: _rules, Metadata: _metadata, ...sections }, values) {
  /** @param {string} condition */
  const holds = (condition) => isTrue(Conditions[condition], values);

  /**
   * @param {any} value
   * @returns {any} `undefined` if it is not there
   */
  const decide = (value) => {
    if (Array.isArray(value)) {
      return value.map(decide).filter((element) => element !== undefined);
    }
    if (typeof value !== "object" || value === null) {
      return value;
    }
    if (value["Fn::If"]) {
      const [condition, then, otherwise] = value["Fn::If"];
      return decide(holds(condition) ? then : otherwise);
    }
    if (value.Ref === "AWS::NoValue" || (typeof value.Condition === "string" && !holds(value.Condition))) {
      return undefined;
    }
    const { Condition, ...rest } = value;
    const kept = typeof Condition === "string" ? rest : value;
    return Object.fromEntries(Object.entries(kept).map(([name, inner]) => [name, decide(inner)]));
  };
  return decide(sections);
}

/**
 * Whether an expression of a condition or a rule is true. A value that is known only when it is deployed equals nothing
 * that the template compares it with.
 * @param {Expression} expression
 * @param {Values} values
 * @returns {boolean}
 */
function isTrue(expression, values) {
  const [[name, operands]] = Object.entries(expression);
  if (name === "Fn::Not") {
    return !isTrue(operands[0], values);
  }
  if (name === "Fn::Equals") {
    const [left, right] = operands.map((/** @type {any} */ operand) => String(values[operand.Ref] ?? operand));
    return left === right;
  }
  throw new Error(`the template's conditions use ${name}, which this version of the construct does not know`);
}

module.exports = { checkRules, include, parameterValues, propertyName, read };
