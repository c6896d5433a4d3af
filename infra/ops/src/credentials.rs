//! `set-credentials`: reads credentials from the terminal or the standard input, never from arguments.

use std::io::Read as _;

use bridge::secrets::credentials::{AFRICASTALKING_API_KEY, MEDIC_PASSWORD, MEDIC_USERNAME};
use bridge::wire::json::parse_lenient;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::Terminal;

const SECRET: &str = "CredentialsSecretArn";

/// The fields of the secret, and how a person calls each.
const FIELDS: [(&str, &str); 3] = [
    (AFRICASTALKING_API_KEY, "Africa's Talking's API key"),
    (MEDIC_USERNAME, "Medic's user name"),
    (MEDIC_PASSWORD, "that user's password"),
];

/// Writes the given fields into the secret, and keeps its other fields.
///
/// # Errors
/// When no field is given, or AWS refuses.
pub async fn set(stack: &Stack, terminal: &Terminal) -> Result<(), Failure> {
    let mut secret = present(stack, terminal).await?;
    let given = if terminal.is_attended() {
        asked(terminal)?
    } else {
        read()?
    };
    if given.is_empty() {
        return Err(Failure::Usage(
            "nothing was given: nothing is changed".to_owned(),
        ));
    }
    secret.extend(given);
    stack
        .write_secret(SECRET, &Value::Object(secret.clone()).to_string())
        .await?;
    let is_there = |name: &str| {
        let value = secret.get(name).and_then(Value::as_str);
        value.is_some_and(|value| !value.trim().is_empty())
    };
    for (name, what) in FIELDS {
        let state = if is_there(name) {
            "filled in"
        } else {
            "still missing"
        };
        terminal.say(&format!("{what}: {state}"));
    }
    terminal.note("They are used within five minutes. `cargo ops doctor` tries them now.");
    Ok(())
}

/// Reads the secret's present fields. There are none if it has no value yet, or is no JSON object.
async fn present(stack: &Stack, terminal: &Terminal) -> Result<Map<String, Value>, Failure> {
    match stack.read_secret(SECRET).await? {
        Err(error) if error.0 == "ResourceNotFoundException" => Ok(Map::new()),
        Err(error) => Err(Failure::aws("read the credentials", &error.0)),
        Ok(text) => Ok(fields_of(&text).unwrap_or_else(|| {
            terminal.note("What is in the secret is no JSON object: it is written anew.");
            Map::new()
        })),
    }
}

/// Reads the fields of a secret as the functions do. None, if it is no JSON object.
fn fields_of(secret: &str) -> Option<Map<String, Value>> {
    match parse_lenient(secret.as_bytes()) {
        Ok(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

fn asked(terminal: &Terminal) -> Result<Map<String, Value>, Failure> {
    terminal.note("What is left empty stays as it is.");
    let mut given = Map::new();
    for (name, what) in FIELDS {
        let answer = if name == MEDIC_USERNAME {
            terminal.ask(what)?
        } else {
            terminal.ask_secret(what)?
        };
        if !answer.is_empty() {
            given.insert(name.to_owned(), answer.into());
        }
    }
    Ok(given)
}

fn read() -> Result<Map<String, Value>, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|_| Failure::Usage("the standard input cannot be read as text".to_owned()))?;
    given_in(&text)
}

/// Reads the fields of a JSON text. An error shows nothing of the text.
fn given_in(text: &str) -> Result<Map<String, Value>, Failure> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        return Err(Failure::Usage(
            "the standard input is no JSON object: `cargo ops set-credentials --help` shows one"
                .to_owned(),
        ));
    };
    for (name, value) in &fields {
        if !FIELDS.iter().any(|(known, _)| known == name) {
            return Err(Failure::Usage(format!(
                "there is no field {name:?}; the fields are {}",
                FIELDS.map(|(known, _)| known).join(", ")
            )));
        }
        if value.as_str().is_none_or(|value| value.trim().is_empty()) {
            return Err(Failure::Usage(format!("{name} is no text, or empty")));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_and_nothing_secret_is_shown() {
        for (text, why) in [
            ("hush", "no JSON"),
            (r#"["hush"]"#, "no JSON"),
            (r#"{"medic_pasword":"hush"}"#, "medic_pasword"),
            (r#"{"medic_password":1}"#, "medic_password"),
            (r#"{"medic_password":" "}"#, "medic_password"),
        ] {
            let failure = given_in(text).unwrap_err().to_string();
            assert!(failure.contains(why), "{failure}");
            assert!(!failure.contains("hush"), "{failure}");
        }
        assert_eq!(given_in(r#"{"medic_password":"hush"}"#).unwrap().len(), 1);
    }

    #[test]
    fn a_secret_that_the_functions_can_read_is_kept() {
        let fields =
            fields_of(r#"{"medic_username":"gateway","medic_password":"\ud800"}"#).unwrap();
        assert_eq!(fields["medic_username"], "gateway");
        assert_eq!(fields["medic_password"], "\u{fffd}");
        for other in ["", "hush", r#"["hush"]"#, r#""hush""#] {
            assert!(fields_of(other).is_none(), "{other}");
        }
    }
}
