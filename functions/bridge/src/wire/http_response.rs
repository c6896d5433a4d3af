//! The response of an HTTP server, before it is known what it means.

/// The response of an HTTP server, or why there is none.
#[derive(Clone, PartialEq, Eq)]
pub enum Response {
    /// A complete response.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body, cut at a limit far above that of a good response.
        body: Vec<u8>,
    },
    /// There was no connection, so that the server cannot have seen the request.
    NotConnected,
    /// The request was or may have been sent, and there was no complete response.
    NoAnswer,
}
