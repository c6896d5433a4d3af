//! A proxy before the emulator that loses the first answers.

use std::io::{Error, ErrorKind, Read, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The proxy. Its threads end with their connections.
pub struct LossyProxy {
    pub url: String,
    calls: Arc<AtomicU32>,
}

impl LossyProxy {
    /// Passes every request on to this address, and loses this many of the first answers.
    pub fn to(url: &str, losses: u32) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let own_url = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let address = url.trim_start_matches("http://").to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (address, counted) = (address.clone(), Arc::clone(&counted));
                std::thread::spawn(move || serve(stream?, &address, &counted, losses));
            }
        });
        Self {
            url: own_url,
            calls,
        }
    }

    /// How many requests came.
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

fn serve(
    mut caller: TcpStream,
    address: &str,
    calls: &AtomicU32,
    losses: u32,
) -> Result<(), Error> {
    let mut emulator = TcpStream::connect(address)?;
    loop {
        let request = message(&mut caller)?;
        let number = calls.fetch_add(1, Ordering::SeqCst);
        emulator.write_all(&request)?;
        let answer = message(&mut emulator)?;
        if number < losses {
            return caller.shutdown(Shutdown::Both);
        }
        caller.write_all(&answer)?;
    }
}

/// One request or answer, unchanged. Its head says its length.
fn message(stream: &mut impl Read) -> Result<Vec<u8>, Error> {
    let mut message = Vec::new();
    let mut byte = [0];
    while !message.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        message.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&message).to_ascii_lowercase();
    let length = head
        .split_once("content-length: ")
        .and_then(|(_, rest)| rest.lines().next()?.parse::<usize>().ok())
        .ok_or(ErrorKind::InvalidData)?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    message.extend(body);
    Ok(message)
}
