//! Every setting, with its default and its unit.

use serde::{Deserialize, Serialize};

/// Limits and times of the client. Names end in their unit; JavaScript sees them in camel case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// From dialing to an open Socket.IO session.
    pub connect_timeout_ms: u64,
    /// The pause before the first reconnect; doubles with each attempt, with jitter.
    pub reconnect_delay_ms: u64,
    pub reconnect_delay_ms_max: u64,
    /// How long to wait before a server that does not speak this protocol, or whose key is not pinned, is tried again.
    pub unsupported_retry_ms: u64,
    /// How often to try all the same while the system says that there is no network.
    pub offline_probe_ms: u64,
    /// How long a request may wait for its answer before the connection counts as dead.
    pub request_timeout_ms: u64,
    /// How long it may wait in all, while bytes of a message that is not whole yet come or go.
    pub transfer_timeout_ms: u64,
    /// How long the first request after coming to the foreground may wait.
    pub probe_timeout_ms: u64,
    /// How long the app must have been in the background for its connection to be looked at when it comes back.
    pub foreground_check_ms: u64,
    /// How far ahead of its expiry a token is replaced.
    pub token_refresh_ahead_ms: u64,
    /// How long a request for a token may wait for its answer.
    pub token_timeout_ms: u64,
    /// The pause before a token is asked for again; doubles with each failure, with jitter.
    pub token_retry_delay_ms: u64,
    pub token_retry_delay_ms_max: u64,
    /// How often to ask an open connection what is new, without a reason, while the app is on screen; 0 for never. A lost
    /// connection is tried again at times of its own.
    pub sync_interval_ms: u64,
    /// How long `pull` and `flush` wait for the server.
    pub sync_timeout_ms: u64,
    /// How often to ask for the heads of the rooms: what a lost live change would hide.
    pub presence_ping_ms: u64,
    /// How often, at most, a room is told of a new presence state: of several only the newest.
    pub presence_throttle_ms: u64,
    /// How long others shall see this client as away, rather than gone, while it is in the background. The server may
    /// allow less.
    pub presence_background_ms: u64,
    /// How long the socket stays open in the background.
    pub background_grace_ms: u64,
    /// How long a change of the cache may wait until it is durable.
    pub cache_flush_ms: u64,
    /// What the cache may take on the disk. Over it, rooms that nobody follows are evicted, the least recently used
    /// first, while the app is in the background; over twice as much at once. They are read again from the server when
    /// they are needed.
    pub cache_bytes_max: u64,
    /// How often to look, at most, whether the cache is over `cacheBytesMax`.
    pub cache_check_ms: u64,
    /// How long a room or a push that was refused for now waits before the next try.
    pub retry_delay_ms: u64,
    /// Entries that the outbox holds.
    pub queue_count_max: u64,
    /// Bytes that the outbox holds.
    pub queue_bytes_max: u64,
    /// The fields of one document, or one patch.
    pub document_bytes_max: u64,
    /// All documents and patches of one call of `write`.
    pub write_bytes_max: u64,
    /// Mutations in one push.
    pub push_count_max: u64,
    /// Bytes in one push, unless a single mutation is larger.
    pub push_bytes_max: u64,
    /// How long a write waits for others to be sent with, unless its collection says otherwise.
    pub push_debounce_ms: u64,
    /// How long a job waits to be done at most, unless it says otherwise; while the client is closed, by the device's clock.
    pub job_ttl_ms: u64,
    /// Failed attempts after which a job is given up, unless it says otherwise; a missing network or token uses up none.
    pub job_attempts_max: u32,
    /// What one job does, with its arguments or its body, and what is kept of its result.
    pub job_bytes_max: u64,
    /// Jobs of one kind under way at once, each of another lane.
    pub jobs_parallel_max: u64,
    /// Events of one lane sent and not yet acknowledged, where they need not wait for each other.
    pub job_stream_max: u64,
    /// How long the journal may wait to be told that an event is done, while more of the queue is under way. What was done
    /// within before a crash is sent again, under the same key.
    pub job_end_delay_ms: u64,
    /// The pause of a lane after its first failure is anything up to this; doubles with each failure in a row.
    pub job_retry_delay_ms: u64,
    pub job_retry_delay_ms_max: u64,
    /// How long a queued event waits for its acknowledgement on an open connection.
    pub job_ack_timeout_ms: u64,
    /// How long a handler has for a job before it is offered again.
    pub job_lease_ms: u64,
    /// Whether a queued event carries `{idempotencyKey}` as its last argument.
    pub job_idempotency_argument: bool,
    /// Whether jobs are done without being asked for.
    pub job_auto: bool,
    /// From dialing to the whole response of a queued request.
    pub http_timeout_ms: u64,
    /// The largest response that a queued request takes.
    pub http_response_bytes_max: u64,
    /// Bytes pushed and not yet answered.
    pub push_window_bytes: u64,
    /// Rooms whose pages are asked for at once.
    pub pulls_parallel_max: u64,
    /// Changes in one page.
    pub page_count_max: u64,
    /// Events that `trace` remembers.
    pub trace_events_max: u64,
    /// How long an event with an answer, or a room, waits for it, unless the call says otherwise.
    pub emit_timeout_ms: u64,
    /// Events that wait in memory for a connection.
    pub emit_buffer_count_max: u64,
    /// Bytes that wait in memory for a connection.
    pub emit_buffer_bytes_max: u64,
    /// Events of the app that wait for the server's answer.
    pub answers_awaited_max: u64,
    /// Events of the server that wait for the app's answer; beyond, the oldest gets none.
    pub answers_owed_max: u64,
    /// Events of the server that the app has not taken; beyond, the oldest are dropped.
    pub inbox_count_max: u64,
    /// Bytes of events of the server that the app has not taken; beyond, the oldest are dropped.
    pub inbox_bytes_max: u64,
    /// Different events that are listened to.
    pub listeners_max: u64,
    /// Namespaces beside the client's own.
    pub namespaces_max: u64,
    /// Rooms joined by `joinRoom`.
    pub joined_rooms_max: u64,
    /// How long a room that the server did not let the client into for now waits before the next try.
    pub room_retry_ms: u64,
    /// The event by which a room is joined.
    pub room_join_event: String,
    /// The event by which a room is left.
    pub room_leave_event: String,
    /// What these two carry.
    pub room_argument: RoomArgument,
    /// Whether the server answers them. If not, a room counts as joined once the server is told.
    pub room_acked: bool,
    /// The `data` of a server's refusal is passed on up to this size.
    pub refusal_data_bytes_max: u64,
    /// Values of `data.code` in a server's refusal that ask for another token, beside `unauthorized`.
    pub auth_error_codes: Vec<String>,
    /// Whether a connection needs a token. Without, a backend that knows no tokens can be used.
    pub token_required: bool,
}

/// How a room's name travels in the events that join and leave it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "contract", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum RoomArgument {
    /// `{room: "name"}`.
    #[default]
    Object,
    /// `"name"`.
    Text,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 10_000,
            reconnect_delay_ms: 500,
            reconnect_delay_ms_max: 5_000,
            unsupported_retry_ms: 15 * 60 * 1000,
            offline_probe_ms: 30_000,
            request_timeout_ms: 20_000,
            transfer_timeout_ms: 5 * 60 * 1000,
            probe_timeout_ms: 2_000,
            foreground_check_ms: 1_000,
            token_refresh_ahead_ms: 60_000,
            token_timeout_ms: 30_000,
            token_retry_delay_ms: 1_000,
            token_retry_delay_ms_max: 60_000,
            sync_interval_ms: 300_000,
            sync_timeout_ms: 30_000,
            presence_ping_ms: 25_000,
            presence_throttle_ms: 100,
            presence_background_ms: 5 * 60 * 1000,
            background_grace_ms: 10_000,
            cache_flush_ms: 1_000,
            cache_bytes_max: 256 << 20,
            cache_check_ms: 10_000,
            retry_delay_ms: 1_000,
            queue_count_max: 100_000,
            queue_bytes_max: 64 << 20,
            document_bytes_max: 1 << 20,
            write_bytes_max: 3 << 20,
            push_count_max: 500,
            push_bytes_max: 128 << 10,
            push_debounce_ms: 20,
            job_ttl_ms: 24 * 60 * 60 * 1000,
            job_attempts_max: 3,
            job_bytes_max: 1 << 20,
            jobs_parallel_max: 8,
            job_stream_max: 64,
            job_end_delay_ms: 20,
            job_retry_delay_ms: 1_000,
            job_retry_delay_ms_max: 60_000,
            job_ack_timeout_ms: 20_000,
            job_lease_ms: 60_000,
            job_idempotency_argument: true,
            job_auto: true,
            http_timeout_ms: 30_000,
            http_response_bytes_max: 1 << 20,
            push_window_bytes: 512 << 10,
            pulls_parallel_max: 4,
            page_count_max: 1_000,
            trace_events_max: 500,
            emit_timeout_ms: 10_000,
            emit_buffer_count_max: 1_000,
            emit_buffer_bytes_max: 1 << 20,
            answers_awaited_max: 10_000,
            answers_owed_max: 1_000,
            inbox_count_max: 1_000,
            inbox_bytes_max: 8 << 20,
            listeners_max: 1_000,
            namespaces_max: 16,
            joined_rooms_max: 1_000,
            room_retry_ms: 2_000,
            room_join_event: "room:join".to_owned(),
            room_leave_event: "room:leave".to_owned(),
            room_argument: RoomArgument::Object,
            room_acked: true,
            refusal_data_bytes_max: 16 << 10,
            auth_error_codes: Vec::new(),
            token_required: true,
        }
    }
}
