//! What CloudFormation makes of a template with given parameters: no parameters, no conditions, nothing that depends on them.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};

/// The value of each parameter.
#[derive(Default)]
pub struct Parameters(BTreeMap<String, Value>);

impl Parameters {
    /// The given values, and the defaults of a template for all other parameters.
    ///
    /// # Errors
    /// When a parameter has neither.
    pub fn new(template: &Value, given: &[(&str, Value)]) -> anyhow::Result<Self> {
        let mut values = BTreeMap::new();
        for (name, parameter) in template["Parameters"].as_object().into_iter().flatten() {
            let given = given.iter().find(|(given, _)| given == name);
            let value = given
                .map(|(_, value)| value)
                .or_else(|| parameter.get("Default"));
            let value = value.with_context(|| format!("the parameter {name} has no value"))?;
            values.insert(name.clone(), value.clone());
        }
        Ok(Self(values))
    }
}

/// The sections of a template, decided. A number is written as text, because CloudFormation takes either.
///
/// # Errors
/// When a condition uses a function that is not known here.
pub fn decided(template: &Value, parameters: &Parameters) -> anyhow::Result<Value> {
    let decision = Decision {
        parameters: &parameters.0,
        conditions: &template["Conditions"],
    };
    let mut sections = Map::new();
    for section in ["Resources", "Outputs"] {
        let value = decision.decide(&template[section])?.unwrap_or_default();
        sections.insert(section.to_owned(), value);
    }
    Ok(Value::Object(sections))
}

struct Decision<'a> {
    parameters: &'a BTreeMap<String, Value>,
    conditions: &'a Value,
}

impl Decision<'_> {
    /// None for what is not there.
    fn decide(&self, value: &Value) -> anyhow::Result<Option<Value>> {
        match value {
            Value::Array(values) => {
                let decided: Result<Vec<_>, _> =
                    values.iter().map(|value| self.decide(value)).collect();
                Ok(Some(decided?.into_iter().flatten().collect()))
            }
            Value::Object(entries) => self.decide_object(entries),
            Value::Number(number) => Ok(Some(Value::String(number.to_string()))),
            Value::String(_) | Value::Bool(_) | Value::Null => Ok(Some(value.clone())),
        }
    }

    fn decide_object(&self, entries: &Map<String, Value>) -> anyhow::Result<Option<Value>> {
        if let Some(name) = entries.get("Ref").and_then(Value::as_str) {
            if name == "AWS::NoValue" {
                return Ok(None);
            }
            if let Some(value) = self.parameters.get(name) {
                return self.decide(value);
            }
        }
        if let Some(Value::String(text)) = entries.get("Fn::Sub") {
            return Ok(Some(serde_json::json!({ "Fn::Sub": self.filled_in(text) })));
        }
        if let Some(Value::Array(operands)) = entries.get("Fn::If") {
            let [Value::String(condition), then, otherwise] = operands.as_slice() else {
                bail!("an Fn::If without three operands: {operands:?}");
            };
            let holds = self.condition_holds(condition)?;
            return self.decide(if holds { then } else { otherwise });
        }
        let mut decided = Map::new();
        for (key, value) in entries {
            match (key.as_str(), value) {
                // That of a resource or an output. A statement of a policy has an object there.
                ("Condition", Value::String(condition)) => {
                    if !self.condition_holds(condition)? {
                        return Ok(None);
                    }
                }
                _ => {
                    if let Some(value) = self.decide(value)? {
                        decided.insert(key.clone(), value);
                    }
                }
            }
        }
        Ok(Some(Value::Object(decided)))
    }

    fn filled_in(&self, text: &str) -> String {
        let mut filled_in = text.to_owned();
        for (name, value) in self.parameters {
            if let Some(value) = value.as_str() {
                filled_in = filled_in.replace(&format!("${{{name}}}"), value);
            }
        }
        filled_in
    }

    fn condition_holds(&self, name: &str) -> anyhow::Result<bool> {
        let condition = self.conditions.get(name);
        self.holds(condition.with_context(|| format!("there is no condition {name}"))?)
    }

    fn holds(&self, expression: &Value) -> anyhow::Result<bool> {
        if let Some([negated]) = expression["Fn::Not"].as_array().map(Vec::as_slice) {
            return Ok(!self.holds(negated)?);
        }
        if let Some([left, right]) = expression["Fn::Equals"].as_array().map(Vec::as_slice) {
            return Ok(self.decide(left)? == self.decide(right)?);
        }
        bail!("a condition that is not known here: {expression}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(domain: &str) -> Value {
        let template = json!({
            "Parameters": { "Domain": {}, "Days": { "Default": 90 } },
            "Conditions": { "HasDomain": { "Fn::Not": [{ "Fn::Equals": [{ "Ref": "Domain" }, ""] }] } },
            "Resources": {
                "Log": { "Type": "Log", "Days": { "Ref": "Days" }, "Api": { "Ref": "Api" } },
                "Name": { "Type": "Name", "Condition": "HasDomain" },
                "Role": { "Statement": { "Condition": { "Equals": 1 } } },
            },
            "Outputs": {
                "Url": { "Value": { "Fn::If": [
                    "HasDomain", { "Fn::Sub": "https://${Domain}/" }, { "Ref": "AWS::NoValue" }
                ] } },
            },
        });
        let parameters = Parameters::new(&template, &[("Domain", json!(domain))]).unwrap();
        decided(&template, &parameters).unwrap()
    }

    #[test]
    fn what_depends_on_a_condition_is_there_or_not() {
        let with = outcome("sms.example.org");
        assert_eq!(with["Resources"]["Name"], json!({ "Type": "Name" }));
        let url = json!({ "Value": { "Fn::Sub": "https://sms.example.org/" } });
        assert_eq!(with["Outputs"]["Url"], url);
        let without = outcome("");
        assert!(without["Resources"].get("Name").is_none());
        assert_eq!(without["Outputs"]["Url"], json!({}));
    }

    #[test]
    fn a_parameter_is_its_value_and_everything_else_stays() {
        let outcome = outcome("");
        let log = json!({ "Type": "Log", "Days": "90", "Api": { "Ref": "Api" } });
        assert_eq!(outcome["Resources"]["Log"], log);
        let role = json!({ "Statement": { "Condition": { "Equals": "1" } } });
        assert_eq!(outcome["Resources"]["Role"], role);
    }

    #[test]
    fn a_parameter_without_a_value_is_an_error() {
        let template = json!({ "Parameters": { "Domain": {} } });
        assert!(Parameters::new(&template, &[]).is_err());
    }
}
