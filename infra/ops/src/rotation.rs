//! `rotate-key`: adds a new incoming key beside the old one, and later ends the old one.

use bridge::secrets::KeySecret;

use crate::callbacks::{self, KEY_SECRET, read_keys};
use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::{Terminal, random};

/// As long as the key that the template generates.
const KEY_LENGTH: usize = 40;

/// Characters that need no encoding in a URL. There are sixty-four, so that six random bits choose one and
/// none is likelier than another.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Makes a new key, and prints the URLs with it. The old key stays valid.
///
/// # Errors
/// When a rotation is under way, or the secret cannot be read or written.
pub async fn begin(stack: &Stack, terminal: &Terminal, json: bool) -> Result<(), Failure> {
    let keys = read_keys(stack).await?;
    if keys.second_key.is_some() {
        return Err(Failure::Problem(
            "two keys are valid already: a third would end the one that may still be in use. \
             `cargo ops callbacks` prints the newest URLs; when they are pasted, \
             `cargo ops rotate-key --end-old-key`"
                .to_owned(),
        ));
    }
    let new = with_new_key(keys, new_key()?);
    write(stack, &new).await?;
    callbacks::print(stack, terminal, &new, json)?;
    terminal.note(
        "The new key works within seconds, and the old one goes on working. When the URLs are pasted: \
         cargo ops rotate-key --end-old-key",
    );
    Ok(())
}

/// Ends the old key.
///
/// # Errors
/// When there is no old key, the operator does not confirm, or the secret cannot be read or written.
pub async fn end(stack: &Stack, terminal: &Terminal, yes: bool) -> Result<(), Failure> {
    let keys = read_keys(stack).await?;
    if keys.second_key.is_none() {
        return Err(Failure::Problem(
            "there is no old key: only one is valid".to_owned(),
        ));
    }
    let question = "Are the new URLs pasted, all of them? What still comes with the old key is refused from now on.";
    if !yes && !terminal.confirm(question)? {
        return Err(Failure::Problem("Both keys stay valid.".to_owned()));
    }
    write(stack, &without_old_key(keys)).await?;
    terminal.say("The old key is ended; it works for five more minutes at the most.");
    Ok(())
}

/// Keeps the present key as the second one, and keeps the key that numbers are hashed with.
fn with_new_key(keys: KeySecret, key: String) -> KeySecret {
    let hash_key = keys.hashes_numbers_under().to_owned();
    KeySecret {
        key,
        second_key: Some(keys.key).filter(|key| !key.is_empty()),
        number_hash_key: Some(hash_key).filter(|key| !key.is_empty()),
    }
}

fn without_old_key(keys: KeySecret) -> KeySecret {
    let hash_key = keys.hashes_numbers_under().to_owned();
    KeySecret {
        second_key: None,
        number_hash_key: Some(hash_key),
        ..keys
    }
}

async fn write(stack: &Stack, keys: &KeySecret) -> Result<(), Failure> {
    let text = serde_json::to_string(keys)
        .map_err(|error| Failure::Problem(format!("the secret cannot be written: {error}")))?;
    stack.write_secret(KEY_SECRET, &text).await
}

fn new_key() -> Result<String, Failure> {
    let bytes: [u8; KEY_LENGTH] = random()?;
    let letters = bytes
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
    Ok(letters.map(|letter| char::from(*letter)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_hashed_under_the_same_key_through_all_rotations() {
        let first = KeySecret::read(r#"{"key":"a"}"#);
        let second = with_new_key(first, "b".to_owned());
        assert_eq!(second.second_key.as_deref(), Some("a"));
        assert_eq!(second.hashes_numbers_under(), "a");
        let ended = without_old_key(second);
        assert_eq!(ended.second_key, None);
        let third = without_old_key(with_new_key(ended, "c".to_owned()));
        assert_eq!(
            (third.key.as_str(), third.hashes_numbers_under()),
            ("c", "a")
        );
    }

    #[test]
    fn a_rotation_that_was_made_by_hand_without_a_hash_key_goes_on_as_it_is() {
        let by_hand = KeySecret::read(r#"{"key":"new","second_key":"old"}"#);
        assert_eq!(without_old_key(by_hand).hashes_numbers_under(), "new");
    }

    #[test]
    fn a_secret_without_a_key_gets_one() {
        let keys = with_new_key(KeySecret::read("{}"), "a".to_owned());
        assert_eq!((keys.second_key, keys.number_hash_key), (None, None));
    }

    #[test]
    fn a_new_key_is_long_and_goes_into_a_url_as_it_is() {
        let key = new_key().unwrap();
        assert_eq!(key.len(), KEY_LENGTH);
        assert_eq!(callbacks::with_key("", &key), key);
        assert_ne!(key, new_key().unwrap());
    }
}
