//! A server process (or an embedded server) and a stock Socket.IO client process, both ended with the test.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};
use syncline_server::auth::Revocation;
use syncline_server::{Config, Handle, Server, ServerError};
use tokio::sync::oneshot;

/// No step of a test takes longer.
pub(crate) const STEP_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) const SECRET: &str = "a secret of the tests, long enough for HS256";

/// A `syncline-server` process; killed when dropped.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) url: String,
}

impl ServerProcess {
    /// Starts in production mode over a folder, and waits until it listens.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    /// The same, with its rooms elsewhere.
    pub(crate) fn start_on(data: &Path, storage: &str) -> Self {
        Self::start_with(data, &["--storage", storage])
    }

    /// The same with more flags.
    pub(crate) fn start_with(data: &Path, arguments: &[&str]) -> Self {
        Self::spawn(data, &[&[Self::secret(data).as_str()], arguments].concat(), Stdio::inherit())
    }

    /// The same with its log in a file.
    pub(crate) fn start_logging(data: &Path, arguments: &[&str], log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        Self::spawn(data, &[&[Self::secret(data).as_str()], arguments].concat(), log.into())
    }

    pub(crate) fn start_development(data: &Path) -> Self {
        Self::spawn(data, &["--dev"], Stdio::inherit())
    }

    /// The flag for production mode.
    fn secret(data: &Path) -> String {
        let secret = data.join("secret");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        format!("--jwt-secret-file={}", secret.display())
    }

    fn spawn(data: &Path, arguments: &[&str], log: Stdio) -> Self {
        let mut child = command(&data.join("data"), "127.0.0.1:0")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let line = lines.recv_timeout(STEP_TIMEOUT).expect("the server says that it listens");
        let url = line.strip_prefix("listening on ").expect("the line names the address").to_owned();
        Self { child, url }
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; answers the exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        self.signal("TERM");
        self.child.wait().unwrap().code()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command, ready to run.
pub(crate) fn command(data: &Path, listen: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline-server"));
    command.arg("--data").arg(data).args(["--listen", listen]);
    // It is the tests' own, and looks like a setting.
    command.env_remove("SYNCLINE_POSTGRES_URL");
    command
}

/// A server within the test, for settings that the command does not have.
pub(crate) struct EmbeddedServer {
    pub(crate) url: String,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl EmbeddedServer {
    pub(crate) fn start(config: Config) -> Self {
        let (ready, is_ready) = sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::bind(config).await.unwrap();
                let url = format!("{}://{}", server.scheme(), server.local_addr());
                ready.send((url, server.handle())).unwrap();
                let stop = async {
                    let _ = stopped.await;
                };
                server.run(stop).await.unwrap();
            });
        });
        let (url, handle) = is_ready.recv_timeout(STEP_TIMEOUT).unwrap();
        Self { url, handle, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn revoke(&self, what: Revocation) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.handle.revoke(what)).unwrap();
    }

    pub(crate) fn reload(&self, config: Config) -> Result<(), ServerError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.handle.reload(config))
    }

    pub(crate) fn recheck(&self) {
        self.handle.recheck();
    }
}

impl EmbeddedServer {
    /// Asks it to end, as SIGTERM asks a process. It ends when what it took in is done.
    pub(crate) fn begin_end(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        self.begin_end();
        let ended = self.thread.take().map(std::thread::JoinHandle::join);
        // A server that does not end cleanly is a failure of its own.
        if let Some(Err(panic)) = ended
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// The client process: any number of sockets, by name.
pub(crate) struct Agent {
    child: Child,
    input: RefCell<ChildStdin>,
    answers: Receiver<String>,
    early: RefCell<HashMap<u64, Value>>,
    next_id: RefCell<u64>,
}

impl Agent {
    pub(crate) fn start() -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/npm");
        assert!(
            folder.join("node_modules/socket.io-client").is_dir(),
            "the JavaScript client is missing: run `npm ci` in {}",
            folder.display()
        );
        let mut child = Command::new("node")
            .arg(folder.join("agent.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node runs");
        let input = RefCell::new(child.stdin.take().unwrap());
        let answers = lines(child.stdout.take().unwrap());
        Self { child, input, answers, early: RefCell::default(), next_id: RefCell::new(1) }
    }

    /// Sends a command without waiting for its answer.
    pub(crate) fn begin(&self, command: &str, mut rest: Value) -> u64 {
        let id = self.next_id.replace_with(|id| *id + 1);
        rest["id"] = id.into();
        rest["command"] = command.into();
        writeln!(self.input.borrow_mut(), "{rest}").unwrap();
        id
    }

    /// Waits for a command's answer.
    pub(crate) fn finish(&self, id: u64) -> Value {
        loop {
            if let Some(message) = self.early.borrow_mut().remove(&id) {
                assert!(message.get("error").is_none(), "the client failed: {}", message["error"]);
                return message["answer"].clone();
            }
            let line = self.answers.recv_timeout(STEP_TIMEOUT).expect("the client answers in time");
            let message: Value = serde_json::from_str(&line).unwrap();
            self.early.borrow_mut().insert(message["id"].as_u64().unwrap(), message);
        }
    }

    /// The command's answer, if it comes within a time.
    pub(crate) fn try_finish(&self, id: u64, wait: Duration) -> Option<Value> {
        if !self.early.borrow().contains_key(&id) {
            let line = self.answers.recv_timeout(wait).ok()?;
            let message: Value = serde_json::from_str(&line).unwrap();
            self.early.borrow_mut().insert(message["id"].as_u64().unwrap(), message);
        }
        let came = self.early.borrow().contains_key(&id);
        came.then(|| self.finish(id))
    }

    pub(crate) fn call(&self, command: &str, rest: Value) -> Value {
        self.finish(self.begin(command, rest))
    }

    pub(crate) fn connect(&self, name: &str, url: &str, auth: Value) -> Value {
        self.call("connect", json!({"name": name, "url": url, "auth": auth}))
    }

    /// Sends a plain request; the answer must be plain.
    pub(crate) fn ask(&self, name: &str, event: &str, plain: Value) -> Value {
        let answer = self.call("emit", json!({"name": name, "event": event, "plain": plain}));
        assert_eq!(answer["encoding"], "plain", "{answer}");
        answer["value"].clone()
    }

    /// Sends a compact request; the answer must be compact.
    pub(crate) fn ask_compact(&self, name: &str, event: &str, compact: Value) -> Value {
        let answer = self.call("emit", json!({"name": name, "event": event, "compact": compact}));
        assert_eq!(answer["encoding"], "compact", "{answer}");
        answer["value"].clone()
    }

    /// The next event of a name that was not taken yet, as `{encoding, value}`.
    pub(crate) fn next(&self, name: &str, event: &str) -> Value {
        self.call("next", json!({"name": name, "event": event}))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of a child that nobody has read yet; beyond, the child waits.
const LINES_QUEUED_MAX: usize = 4096;

fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES_QUEUED_MAX);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A client id of sixteen equal bytes, as text.
pub(crate) fn client_id(byte: u8) -> String {
    let hex = format!("{byte:02x}");
    format!("{}-{}-{}-{}-{}", hex.repeat(4), hex.repeat(2), hex.repeat(2), hex.repeat(2), hex.repeat(6))
}

/// A token signed as the application's own backend would.
pub(crate) fn token(user: &str, rooms: &[&str]) -> String {
    sign(&json!({"sub": user, "rooms": rooms, "exp": now_s() + 3600}), SECRET)
}

pub(crate) fn sign(claims: &Value, secret: &str) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

pub(crate) fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// Does what must be done within so many seconds, which it is told: with ever more of them, until they were enough for a busy
/// machine.
pub(crate) fn soon_enough(attempt: impl FnMut(u64) -> bool) {
    assert!([2, 6, 18].into_iter().any(attempt), "no time was enough");
}

/// A plain create of a document with one field.
pub(crate) fn create(client_seq: u64, id: &str, value: impl Into<Value>) -> Value {
    json!({
        "client_seq": client_seq, "collection": "todos", "id": id,
        "write": {"create": {"title": value.into()}}, "time": [now_s() * 1000, 0],
    })
}

pub(crate) fn push(room: &str, after: Option<u64>, mutations: &[Value]) -> Value {
    json!({"room": room, "after": after, "mutations": mutations})
}

/// One HTTP/1.1 request; answers status, head and body.
pub(crate) fn http(
    url: &str,
    method: &str,
    path: &str,
    host: Option<&str>,
    body: &str,
) -> (u16, String, String) {
    let host = host.map(|host| ("host", host));
    http_with(url, method, path, host.as_slice(), body)
}

/// The same with more headers.
pub(crate) fn http_with(
    url: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address.parse::<SocketAddr>().unwrap()).unwrap();
    stream.set_read_timeout(Some(STEP_TIMEOUT)).unwrap();
    let mut head = format!("{method} {path} HTTP/1.0\r\ncontent-type: application/json\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head += &format!("host: {address}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}
