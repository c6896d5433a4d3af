//! The functions' logs, line by line as they come.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::stack::{EmulatedStack, FUNCTIONS, LogLine};

/// The field of a line that is for CloudWatch alone.
const METRICS: &str = "_aws";

/// One log event of a function's log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct PageEvent {
    pub at_ms: u64,
    pub function: &'static str,
    /// `event`, `message`, `level` and the fields of the event.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// Reads each line once.
#[derive(Debug, Default)]
pub(super) struct LogReader {
    cursors: [Cursor; FUNCTIONS.len()],
}

/// How far a function's log was read.
#[derive(Debug, Default)]
struct Cursor {
    last_ms: u64,
    /// The lines of that last millisecond: more of it may come later.
    seen: Vec<LogLine>,
}

impl Cursor {
    fn take_new(&mut self, lines: Vec<LogLine>) -> Vec<LogLine> {
        let new: Vec<LogLine> = lines
            .into_iter()
            .filter(|line| !self.seen.contains(line))
            .collect();
        if let Some(last) = new.last() {
            if last.at_ms > self.last_ms {
                self.last_ms = last.at_ms;
                self.seen.clear();
            }
            let of_last = new.iter().filter(|line| line.at_ms == self.last_ms);
            self.seen.extend(of_last.cloned());
        }
        new
    }
}

impl LogReader {
    /// The lines since the last call, oldest first.
    pub(super) async fn read(&mut self, stack: &EmulatedStack) -> anyhow::Result<Vec<PageEvent>> {
        let mut entries = Vec::new();
        for (function, cursor) in FUNCTIONS.into_iter().zip(&mut self.cursors) {
            let lines = stack.log_lines_since(function, cursor.last_ms).await?;
            let new = cursor.take_new(lines);
            entries.extend(new.iter().filter_map(|line| entry(function, line)));
        }
        entries.sort_by_key(|entry| entry.at_ms);
        Ok(entries)
    }
}

/// The log event in a line; none, if the line is Lambda's own.
fn entry(function: &'static str, line: &LogLine) -> Option<PageEvent> {
    let mut fields: Map<String, Value> = serde_json::from_str(&line.text).ok()?;
    fields.get("event")?;
    fields.remove(METRICS);
    Some(PageEvent {
        at_ms: line.at_ms,
        function,
        fields: fields
            .into_iter()
            // The name that CloudFormation has made up.
            .filter(|(name, _)| name != "function")
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn line(at_ms: u64, text: &str) -> LogLine {
        LogLine {
            at_ms,
            stream: "s".to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn each_line_is_read_once_also_when_its_millisecond_is_read_again() {
        let mut cursor = Cursor::default();
        assert_eq!(cursor.take_new(vec![line(1, "a"), line(2, "b")]).len(), 2);
        let later = vec![line(2, "b"), line(2, "c"), line(3, "d")];
        assert_eq!(cursor.take_new(later), [line(2, "c"), line(3, "d")]);
        assert_eq!(cursor.take_new(vec![line(3, "d")]), []);
    }

    #[test]
    fn only_what_a_function_wrote_is_an_entry() {
        assert_eq!(
            entry("report-recorder", &line(1, "START RequestId: 1")),
            None
        );
        let text =
            r#"{"event":"dead_lettered","function":"x-1","level":"error","_aws":{},"reason":"r"}"#;
        let entry = entry("report-recorder", &line(7, text)).unwrap();
        let entry = serde_json::to_value(entry).unwrap();
        assert_eq!(entry["function"], "report-recorder");
        assert_eq!(entry["reason"], "r");
        assert_eq!(entry["at_ms"], 7);
        assert!(entry.get("_aws").is_none());
    }
}
