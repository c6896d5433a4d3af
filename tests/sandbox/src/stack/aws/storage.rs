//! Secrets, rows of tables, and buckets.

use serde_json::{Value, json};

use super::{EmulatorClient, successful, text_at};

impl EmulatorClient {
    /// Reads a secret that holds JSON.
    ///
    /// # Errors
    /// When there is no such secret, or it is not JSON.
    pub async fn secret(&self, arn: &str) -> anyhow::Result<Value> {
        let input = json!({ "SecretId": arn });
        let target = "secretsmanager.GetSecretValue";
        let answer = self.call("secretsmanager", target, &input).await?;
        // The error must not contain the text, which is a secret.
        serde_json::from_str(&text_at(&answer, "SecretString"))
            .map_err(|_| anyhow::anyhow!("the secret {arn} does not hold JSON"))
    }

    /// Writes a new version of a secret.
    ///
    /// # Errors
    /// When there is no such secret.
    pub async fn put_secret(&self, arn: &str, value: &Value) -> anyhow::Result<()> {
        let input = json!({ "SecretId": arn, "SecretString": value.to_string() });
        let target = "secretsmanager.PutSecretValue";
        self.call("secretsmanager", target, &input).await?;
        Ok(())
    }

    /// All rows of a table, as plain JSON.
    ///
    /// # Errors
    /// When DynamoDB refuses.
    pub async fn rows(&self, table: &str) -> anyhow::Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut input = json!({ "TableName": table, "ConsistentRead": true });
        loop {
            let mut answer = self
                .call("dynamodb", "DynamoDB_20120810.Scan", &input)
                .await?;
            if let Some(Value::Array(items)) = answer.get_mut("Items").map(Value::take) {
                rows.extend(items.into_iter().map(plain_row));
            }
            let Some(next) = answer.get_mut("LastEvaluatedKey").map(Value::take) else {
                return Ok(rows);
            };
            if let Some(input) = input.as_object_mut() {
                input.insert("ExclusiveStartKey".to_owned(), next);
            }
        }
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// When S3 refuses.
    pub async fn create_bucket(&self, name: &str) -> anyhow::Result<()> {
        let request = self.http.put(format!("{}/{name}", self.url));
        successful("CreateBucket", request.send().await?).await?;
        Ok(())
    }
}

/// Turns DynamoDB's `{"S":"a"}`, `{"N":"1"}` and so on into plain JSON.
fn plain_row(row: Value) -> Value {
    match row {
        Value::Object(attributes) => attributes
            .into_iter()
            .map(|(name, value)| (name, plain(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

fn plain(attribute: Value) -> Value {
    let Value::Object(attribute) = attribute else {
        return attribute;
    };
    let Some((kind, value)) = attribute.into_iter().next() else {
        return Value::Null;
    };
    match (kind.as_str(), value) {
        ("N", Value::String(digits)) => serde_json::from_str(&digits).unwrap_or(digits.into()),
        ("M", map) => plain_row(map),
        ("L", Value::Array(list)) => list.into_iter().map(plain).collect(),
        ("NULL", _) => Value::Null,
        (_, value) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_plain_json() {
        let row = json!({
            "pk": { "S": "message#1" }, "tries": { "N": "3" }, "reported": { "BOOL": true },
            "cost": { "M": { "amount": { "N": "0.8000" }, "none": { "NULL": true } } },
            "ids": { "L": [{ "S": "a" }, { "N": "1" }] },
        });
        let expected = json!({
            "pk": "message#1", "tries": 3, "reported": true,
            "cost": { "amount": 0.8, "none": null }, "ids": ["a", 1],
        });
        assert_eq!(plain_row(row), expected);
    }
}
