//! The news for pages: everything at first, and then only the changes.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use axum::response::sse::Event;
use futures_util::Stream;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use super::event_log::PageEvent;
use crate::observed::Observed;

/// So many lines of the log are kept for a page that comes later.
const LINES_KEPT: usize = 400;

/// The parts of the page as they are now, each with how new it is.
#[derive(Debug)]
pub(super) struct Feed {
    board: Observed<Board>,
    pages: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Board {
    /// Counts what was put up.
    version: u64,
    things: BTreeMap<String, (u64, Value)>,
    lines: VecDeque<(u64, PageEvent)>,
}

/// The changes that a page has not received.
#[derive(Debug, Serialize)]
struct News<'a> {
    /// Whether it is everything there is: what the page has is to be forgotten.
    whole: bool,
    things: BTreeMap<&'a str, &'a Value>,
    lines: Vec<&'a PageEvent>,
}

impl Board {
    fn put(&mut self, things: Vec<(String, Value)>, entries: Vec<PageEvent>) {
        self.version += 1;
        for (key, value) in things {
            match self.things.get_mut(&key) {
                Some((_, old)) if *old == value => {}
                Some(old) => *old = (self.version, value),
                None => {
                    self.things.insert(key, (self.version, value));
                }
            }
        }
        for entry in entries {
            if self.lines.len() == LINES_KEPT {
                self.lines.pop_front();
            }
            self.lines.push_back((self.version, entry));
        }
    }

    fn news_since(&self, version: u64) -> Option<News<'_>> {
        let things: BTreeMap<&str, &Value> = self
            .things
            .iter()
            .filter(|(_, (since, _))| *since > version)
            .map(|(key, (_, value))| (key.as_str(), value))
            .collect();
        let lines: Vec<&PageEvent> = self
            .lines
            .iter()
            .filter(|(since, _)| *since > version)
            .map(|(_, entry)| entry)
            .collect();
        let is_something = !things.is_empty() || !lines.is_empty();
        is_something.then_some(News {
            whole: version == 0,
            things,
            lines,
        })
    }
}

/// One page that is open. It is counted for as long as this is.
struct PageConnection(Arc<Feed>);

impl Drop for PageConnection {
    fn drop(&mut self) {
        self.0.pages.send_modify(|pages| *pages -= 1);
    }
}

impl Feed {
    pub(super) fn new() -> Self {
        let (pages, _) = watch::channel(0);
        Self {
            board: Observed::new(Board::default()),
            pages,
        }
    }

    /// Waits until a page is open.
    pub(super) async fn is_wanted(&self) {
        // An error is impossible: the sender is here.
        let _ = self.pages.subscribe().wait_for(|pages| *pages > 0).await;
    }

    /// Shows this from now on, and tells the open pages what is new of it.
    pub(super) fn show(&self, things: Vec<(String, Value)>, entries: Vec<PageEvent>) {
        self.board.change(|board| board.put(things, entries));
    }

    /// The changes for one page, for as long as it listens.
    pub(super) fn events(
        self: Arc<Self>,
    ) -> impl Stream<Item = Result<Event, Infallible>> + Send + 'static {
        self.pages.send_modify(|pages| *pages += 1);
        let changes = self.board.changes();
        let page = PageConnection(self);
        futures_util::stream::unfold(
            (page, changes, 0),
            |(page, mut changes, version)| async move {
                loop {
                    let (now, news) = page.0.board.read(|board| {
                        let news = board.news_since(version);
                        (board.version, news.map(|news| serde_json::to_string(&news)))
                    });
                    if let Some(Ok(news)) = news {
                        let event = Event::default().event("news").data(news);
                        return Some((Ok(event), (page, changes, now)));
                    }
                    changes.next().await;
                }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn board() -> Board {
        let mut board = Board::default();
        board.put(
            vec![("a".to_owned(), json!(1)), ("b".to_owned(), json!(1))],
            Vec::new(),
        );
        board
    }

    #[test]
    fn a_page_that_comes_gets_everything() {
        let board = board();
        let news = board.news_since(0).unwrap();
        assert!(news.whole);
        assert_eq!(news.things.len(), 2);
    }

    #[test]
    fn later_it_gets_only_what_has_changed() {
        let mut board = board();
        let before = board.version;
        board.put(vec![("a".to_owned(), json!(1))], Vec::new());
        assert!(board.news_since(before).is_none());
        board.put(vec![("b".to_owned(), json!(2))], Vec::new());
        let news = board.news_since(before).unwrap();
        assert!(!news.whole);
        assert_eq!(news.things, BTreeMap::from([("b", &json!(2))]));
    }

    #[test]
    fn old_lines_are_forgotten() {
        let mut board = Board::default();
        for at_ms in 0..500 {
            let entry = PageEvent {
                at_ms,
                function: "medic-exchange",
                fields: serde_json::Map::new(),
            };
            board.put(Vec::new(), vec![entry]);
        }
        let news = board.news_since(0).unwrap();
        assert_eq!(news.lines.len(), LINES_KEPT);
        assert_eq!(news.lines.first().unwrap().at_ms, 100);
    }
}
