//! Reading what DynamoDB leaves out at first.

use super::*;
use crate::domain::time::Timestamp;

/// Time that passes when somebody waits, and chance that is always the same.
#[derive(Default)]
struct Waits(std::cell::RefCell<Vec<Duration>>);

impl crate::ports::Clock for &Waits {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    async fn pause(&self, span: Duration) {
        self.0.borrow_mut().push(span);
    }
}

impl crate::ports::RandomSource for &Waits {
    fn up_to(&self, limit: u64) -> u64 {
        limit
    }
}

impl crate::ports::EventLog for &Waits {
    fn record(&self, _: LogEvent) {}
}

/// Answers each call with the next of these bodies; gives what was asked.
fn server(answers: &[String]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers = answers.to_vec();
    let asked = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut asked = Vec::new();
        for answer in answers {
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            asked.push(String::from_utf8(body).unwrap());
            let length = answer.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all((head + &answer).as_bytes()).unwrap();
        }
        asked
    });
    (url, asked)
}

#[tokio::test]
async fn what_a_read_leaves_out_is_asked_for_after_a_wait_that_grows() {
    let row = r#"{"pk":{"S":"account"},"version":{"S":"v"}}"#;
    let left_out = r#"{"Responses":{"t":[]},"UnprocessedKeys":{"t":
        {"Keys":[{"pk":{"S":"account"}}],"ConsistentRead":true}}}"#;
    let whole = format!(r#"{{"Responses":{{"t":[{row}]}},"UnprocessedKeys":{{}}}}"#);
    let (url, asked) = server(&[left_out.to_owned(), left_out.to_owned(), whole]);
    let credentials = aws_credential_types::Credentials::new("id", "key", None, None, "test");
    let aws = crate::adapters::aws::Aws::new("x".to_owned(), credentials, Some(url)).unwrap();
    let waits = Waits::default();
    let table = LedgerTable::new(aws.dynamodb(), "t".to_owned(), Duration::ZERO, &waits);
    let rows = table.read(&[Key::Account]).await.unwrap();
    assert_eq!(rows[0].1, Version("v".to_owned()));
    let first = UNPROCESSED_KEYS.first_wait;
    assert_eq!(*waits.0.borrow(), [first, first * 2]);
    let asked = asked.join().unwrap();
    assert_eq!(asked.len(), 3);
    for asked in asked {
        assert!(asked.contains(r#""ConsistentRead":true"#), "{asked}");
        assert!(asked.contains(r#"{"pk":{"S":"account"}}"#), "{asked}");
    }
}
