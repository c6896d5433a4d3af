//! A server that records what it reads and answers with any bytes, also with bytes that are no HTTP.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sandbox::stack::eventually;

/// Long enough also on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// A way to treat a request.
#[derive(Clone)]
pub enum RawResponse {
    /// These bytes, and then the next request.
    Answer(String),
    /// These bytes, and then the end of the connection.
    AnswerAndClose(String),
    /// These bytes, and then the same letter again and again, until the caller has enough.
    AnswerForEver(String),
    /// These bytes, and then nothing more.
    AnswerAndHang(String),
}

/// A request that it read.
#[derive(Clone, Debug)]
pub struct RawRequest {
    /// On which connection, counted from 0.
    pub connection: usize,
    /// The first line.
    pub line: String,
    /// The headers, as they were written, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl RawRequest {
    /// All values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let named = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }
}

#[derive(Default)]
struct Book {
    requests: Vec<RawRequest>,
    ended: Vec<usize>,
    written: usize,
}

/// The server. Its threads end with their connections.
pub struct RawServer {
    pub url: String,
    book: Arc<Mutex<Book>>,
}

impl RawServer {
    /// A server that does the same with every request.
    pub fn always(act: RawResponse) -> Self {
        Self::start(move |_| act.clone())
    }

    /// A server that does with each request what this says, by the request's number.
    pub fn start(act: impl Fn(usize) -> RawResponse + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let book = Arc::new(Mutex::new(Book::default()));
        let shared = Arc::clone(&book);
        let act = Arc::new(act);
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (book, act) = (Arc::clone(&shared), Arc::clone(&act));
                std::thread::spawn(move || {
                    let _ = serve(stream.unwrap(), connection, &book, act.as_ref());
                    book.lock().unwrap().ended.push(connection);
                });
            }
        });
        Self { url, book }
    }

    pub fn requests(&self) -> Vec<RawRequest> {
        self.book.lock().unwrap().requests.clone()
    }

    /// How many bytes its endless answers had.
    pub fn written(&self) -> usize {
        self.book.lock().unwrap().written
    }

    pub async fn until_requests(&self, count: usize) {
        let what = format!("request {count}");
        let check = || async { Ok((self.requests().len() >= count).then_some(())) };
        eventually(&what, SOON, check).await.unwrap();
    }

    /// Waits until a connection was closed by the caller.
    pub async fn until_ended(&self, connection: usize) {
        let check = || async {
            Ok(self
                .book
                .lock()
                .unwrap()
                .ended
                .contains(&connection)
                .then_some(()))
        };
        eventually("the end of a connection", SOON, check)
            .await
            .unwrap();
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    book: &Mutex<Book>,
    act: &dyn Fn(usize) -> RawResponse,
) -> std::io::Result<()> {
    while let Some(request) = read(&mut stream, connection)? {
        let number = {
            let mut book = book.lock().unwrap();
            book.requests.push(request);
            book.requests.len() - 1
        };
        match act(number) {
            RawResponse::Answer(bytes) => stream.write_all(bytes.as_bytes())?,
            RawResponse::AnswerAndClose(bytes) => {
                stream.write_all(bytes.as_bytes())?;
                return stream.shutdown(Shutdown::Both);
            }
            RawResponse::AnswerForEver(bytes) => {
                stream.write_all(bytes.as_bytes())?;
                let letters = [b'x'; 64 * 1024];
                loop {
                    stream.write_all(&letters)?;
                    book.lock().unwrap().written += letters.len();
                }
            }
            RawResponse::AnswerAndHang(bytes) => stream.write_all(bytes.as_bytes())?,
        }
    }
    Ok(())
}

/// The next request. `None` at the end of the connection.
fn read(stream: &mut TcpStream, connection: usize) -> std::io::Result<Option<RawRequest>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).map_err(|_| ErrorKind::InvalidData)?;
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut request = RawRequest {
        connection,
        line,
        headers,
        body: String::new(),
    };
    let length = request
        .header("content-length")
        .first()
        .map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    request.body = String::from_utf8(body).map_err(|_| ErrorKind::InvalidData)?;
    Ok(Some(request))
}
