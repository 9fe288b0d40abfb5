//! A collector with programmed answers, and records to send to it.

use std::collections::HashMap;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use serde_json::json;
use uilog_channel::sink_config::SinkConfig;
use uilog_sinks::globals::Globals;
use uilog_sinks::otlp;
use uilog_sinks::otlp::Otlp;
use uilog_sinks::otlp::sender::Flushed;
use uilog_sinks::record::Record;
use uilog_sinks::sink::Sink;
use uilog_spool::Stats;

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a collector was asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    /// By their names in lower case.
    pub(crate) headers: HashMap<String, String>,
    /// Unpacked.
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The ids of the records in it, once for each span or log record.
    pub(crate) fn ids(&self) -> Vec<String> {
        let id = |all: &[KeyValue]| text(all, "hg.id").expect("an id");
        match self.target.rsplit('/').next() {
            Some("traces") => self
                .traces()
                .resource_spans
                .iter()
                .flat_map(|it| &it.scope_spans)
                .flat_map(|it| &it.spans)
                .map(|span| id(&span.attributes))
                .collect(),
            Some("logs") => self
                .logs()
                .resource_logs
                .iter()
                .flat_map(|it| &it.scope_logs)
                .flat_map(|it| &it.log_records)
                .map(|log| id(&log.attributes))
                .collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn traces(&self) -> ExportTraceServiceRequest {
        ExportTraceServiceRequest::decode(&*self.body).unwrap()
    }

    pub(crate) fn logs(&self) -> ExportLogsServiceRequest {
        ExportLogsServiceRequest::decode(&*self.body).unwrap()
    }
}

/// The text of an attribute.
pub(crate) fn text(all: &[KeyValue], key: &str) -> Option<String> {
    let value = all.iter().find(|it| it.key == key)?.value.clone()?;
    match value.value? {
        Value::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

/// What a collector does.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// An answer.
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// These bytes, and the end.
    Bytes(Vec<u8>),
    /// Half of an answer, and the end.
    HalfWay,
    /// The end.
    Close,
    /// Nothing, until the other side has had enough.
    Hang,
}

pub(crate) fn status(status: u16) -> Reply {
    Reply::Answer {
        status,
        headers: Vec::new(),
        body: Vec::new(),
    }
}

pub(crate) fn accepted() -> Reply {
    Reply::Answer {
        status: 200,
        headers: vec![("Content-Type", "application/x-protobuf".to_owned())],
        body: Vec::new(),
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A collector.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start_at("127.0.0.1:0", None, handler)
    }

    pub(crate) fn start_at(
        address: &str,
        tls: Option<Arc<ServerConfig>>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let handler: Arc<Handler> = Arc::new(handler);
        let acceptor = thread::spawn({
            let (requests, is_over) = (requests.clone(), is_over.clone());
            let connections = Arc::clone(&connections);
            move || {
                for stream in listener.incoming() {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    connections.fetch_add(1, Ordering::SeqCst);
                    let requests = Arc::clone(&requests);
                    let handler = Arc::clone(&handler);
                    let tls = tls.clone();
                    thread::spawn(move || match tls {
                        None => serve(stream, &requests, &*handler),
                        Some(config) => {
                            let tls = ServerConnection::new(config).unwrap();
                            let stream = StreamOwned::new(tls, stream);
                            serve(stream, &requests, &*handler);
                        }
                    });
                }
            }
        });
        Self {
            address,
            requests,
            connections,
            is_over,
            acceptor: Some(acceptor),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("otlp:http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until it has been asked so often.
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Request> {
        wait_until(|| self.requests.lock().unwrap().len() >= count);
        self.requests()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().unwrap();
        }
    }
}

/// Waits for something that comes if all is well.
pub(crate) fn wait_until(mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "it does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A connection that may go on after an answer.
pub(crate) trait Stream: Read + Write {
    fn end(&mut self);
}

impl Stream for TcpStream {
    fn end(&mut self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn end(&mut self) {
        let _ = self.sock.shutdown(Shutdown::Both);
    }
}

fn serve(
    stream: impl Stream,
    requests: &Mutex<Vec<Request>>,
    handler: &Handler,
) {
    let mut stream = BufReader::new(stream);
    while let Ok(Some(request)) = read_request(&mut stream) {
        let reply = handler(&request);
        requests.lock().unwrap().push(request);
        let mut out = Vec::new();
        let goes_on = match reply {
            Reply::Answer {
                status,
                headers,
                body,
            } => {
                write!(out, "HTTP/1.1 {status} X\r\n").unwrap();
                for (name, value) in headers {
                    write!(out, "{name}: {value}\r\n").unwrap();
                }
                write!(out, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
                out.extend(body);
                true
            }
            Reply::Bytes(bytes) => {
                out = bytes;
                false
            }
            Reply::HalfWay => {
                out.extend(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx");
                false
            }
            Reply::Close => false,
            Reply::Hang => {
                // Until the other side closes.
                let _ = stream.read(&mut [0]);
                false
            }
        };
        let written = stream.get_mut().write_all(&out);
        let flushed = stream.get_mut().flush();
        if !goes_on || written.is_err() || flushed.is_err() {
            break;
        }
    }
    stream.get_mut().end();
}

pub(crate) fn read_request(
    stream: &mut BufReader<impl Read>,
) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap();
        let value = value.trim().to_owned();
        headers.insert(name.to_ascii_lowercase(), value);
    }
    let length = headers.get("content-length");
    let length = length.map_or(0, |it| it.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if headers
        .get("content-encoding")
        .is_some_and(|it| it == "gzip")
    {
        let mut plain = Vec::new();
        GzDecoder::new(&*body).read_to_end(&mut plain)?;
        body = plain;
    }
    Ok(Some(Request {
        method,
        target,
        headers,
        body,
    }))
}

/// A session of a number.
pub(crate) fn session(number: u64) -> String {
    format!("{:032x}", u128::from(number) + 1)
}

/// An event of a session, with more of it as JSON.
pub(crate) fn record(
    session_number: u64,
    seq: u64,
    more: serde_json::Value,
) -> Record {
    let session = session(session_number);
    let mut all = json!({
        "schema": 1,
        "id": format!("{session}-{seq}"),
        "event": "command",
        "time": "2026-01-02T03:04:05.678901+01:00",
        "trace_id": format!("{:032x}", u128::from(session_number) + 0x100),
        "span_id": format!("{:016x}", session_number + 0x200),
        "session": session,
        "seq": seq,
        "message": "status",
        "process": {
            "pid": 17,
            "executable": "/usr/bin/hg",
            "hg_version": "7.2.4",
            "uid": 1000,
        },
        "host": {"name": "there"},
    });
    let more = more.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(more);
    serde_json::from_value(all).unwrap()
}

/// A log record or, of every second number, the span of a command.
pub(crate) fn numbered(session_number: u64, seq: u64) -> Arc<Record> {
    let more = if seq.is_multiple_of(2) {
        json!({"event": "commandfinish", "duration": 0.5})
    } else {
        json!({})
    };
    Arc::new(record(session_number, seq, more))
}

/// A sink and where its spool is.
pub(crate) struct TestSink {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) definition: SinkConfig,
    pub(crate) globals: Globals,
}

impl TestSink {
    pub(crate) fn new(url: &str, options: &[(&str, &str)]) -> Self {
        Self::with_environment(url, options, "")
    }

    pub(crate) fn with_environment(
        url: &str,
        options: &[(&str, &str)],
        environment: &str,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let globals = globals(dir.path(), environment);
        let bytes = |text: &str| text.as_bytes().to_vec();
        let definition = SinkConfig {
            name: "fleet".to_owned(),
            url: bytes(url),
            options: options
                .iter()
                .map(|(key, value)| (bytes(key), bytes(value)))
                .collect(),
        };
        Self {
            dir,
            definition,
            globals,
        }
    }

    pub(crate) fn open(&self) -> Otlp {
        otlp::open(&self.definition, &self.globals).unwrap()
    }

    /// Puts records into the spool, and sends none.
    pub(crate) fn append(&self, records: &[Arc<Record>]) {
        let spool = otlp::spool(&self.definition, &self.globals).unwrap();
        let mut writer = uilog_spool::Writer::new(&spool);
        for record in records {
            let payload = serde_json::to_vec(&**record).unwrap();
            let id = otlp::appender::id(record).unwrap();
            writer.append(&id, &payload).unwrap();
        }
        writer.close().unwrap();
    }

    pub(crate) fn flush(&self) -> Flushed {
        otlp::flush(&self.definition, &self.globals, &mut |_| {}).unwrap()
    }

    pub(crate) fn stats(&self) -> Stats {
        let spool = otlp::spool(&self.definition, &self.globals).unwrap();
        spool.stats().unwrap()
    }
}

pub(crate) fn globals(spool: &Path, environment: &str) -> Globals {
    let items = [(
        b"spool".to_vec(),
        spool.as_os_str().as_encoded_bytes().to_vec(),
    )];
    Globals::new(&items, environment.as_bytes())
}

pub(crate) fn soon() -> Instant {
    Instant::now() + PATIENCE
}

/// Delivers, and lets the sink end.
pub(crate) fn deliver(sink: &TestSink, records: &[Arc<Record>]) {
    let mut opened = sink.open();
    opened.deliver(records, soon()).unwrap();
    opened.finish(soon()).unwrap();
}
