use thiserror::Error;

/// Why bytes could not be read or written as a packet.
///
/// After a decoding error the connection is of no further use: the two ends no longer agree on where they are.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CodecError {
    /// A text frame without even a packet type.
    #[error("empty text frame")]
    EmptyFrame,
    /// The first character is not an Engine.IO packet type.
    #[error("unknown Engine.IO packet type {0:?}")]
    EngineType(char),
    /// Not one of the seven Socket.IO packet types.
    #[error("unknown Socket.IO packet type {0}")]
    SocketType(u64),
    /// The Engine.IO handshake is missing a field or has one out of range.
    #[error("invalid handshake: {0}")]
    Handshake(&'static str),
    /// More bytes than [`DecodeLimits::message_bytes_max`](super::DecodeLimits::message_bytes_max).
    #[error("packet of at least {bytes} bytes, {max} allowed")]
    TooLarge { bytes: usize, max: usize },
    /// More attachments than [`DecodeLimits::attachments_max`](super::DecodeLimits::attachments_max).
    #[error("more than {max} attachments")]
    TooManyAttachments { max: usize },
    /// More arguments than [`DecodeLimits::args_max`](super::DecodeLimits::args_max).
    #[error("more than {max} arguments")]
    TooManyArgs { max: usize },
    /// An argument nests deeper than [`DecodeLimits::depth_max`](super::DecodeLimits::depth_max).
    #[error("value nested deeper than {max}")]
    TooDeep { max: usize },
    /// An event name or namespace longer than
    /// [`DecodeLimits::name_bytes_max`](super::DecodeLimits::name_bytes_max).
    #[error("name of {bytes} bytes, {max} allowed")]
    NameTooLong { bytes: usize, max: usize },
    /// The input ends inside a value.
    #[error("truncated packet")]
    Truncated,
    /// Bytes follow the end of the packet.
    #[error("bytes after the end of the packet")]
    TrailingBytes,
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// The packet breaks the rules of its type.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// JSON that does not parse; the position is within the JSON part of the packet.
    #[error("invalid JSON at line {line}, column {column}")]
    Json { line: usize, column: usize },
    /// A namespace without a leading `/`, or with a comma, which ends it on the wire.
    #[error("invalid namespace")]
    Namespace,
    /// An ack id that is not an integer JavaScript can hold.
    #[error("invalid ack id")]
    AckId,
    /// An event name that means something else at the other end (`connect`, `disconnect`, ...).
    #[error("reserved event name")]
    ReservedName,
    /// The bytes are in the notation of the other parser: client and server are configured differently.
    #[error("the server uses another Socket.IO parser")]
    ParserMismatch,
    /// A message where the attachment of the packet before it was due.
    #[error("a message in place of an attachment")]
    AttachmentMissing,
    /// A binary frame that no packet announced.
    #[error("a binary frame that was not announced")]
    AttachmentUnexpected,
    /// A placeholder names an attachment that is not there or was already used, or an attachment has none.
    #[error("placeholders and attachments do not match")]
    Placeholder,
    /// A payload of one notation in a packet of the other.
    #[error("payload encoded for another parser")]
    PayloadMismatch,
    /// A value that cannot be written, with the serializer's reason.
    #[error("value cannot be encoded: {0}")]
    Encode(String),
    /// A payload of another shape than asked for. The reason can quote a part of the value.
    #[error("payload has another shape: {0}")]
    Shape(String),
    /// Raw bytes, read as a value: see [`Payload::as_binary`](super::Payload::as_binary).
    #[error("payload is binary")]
    IsBinary,
}

impl CodecError {
    /// The position only: the message could quote the payload.
    pub(super) fn json(error: &serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column() }
    }
}
