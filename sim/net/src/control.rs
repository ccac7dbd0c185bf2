//! The operator's line: a local HTTP port that shows the cluster and takes orders, in JSON.
//!
//! | request | does |
//! |---|---|
//! | `GET /state` | shows the cluster as it is now |
//! | `POST /fault` | injects the fault in the body: a scenario's `[[fault]]` as JSON, without `at` |
//! | `DELETE /fault/ID` | heals the fault of that id |
//! | `POST /heal` | heals every fault that is in force |
//! | `POST /stop` | ends the session, as an interrupt does |
//!
//! It listens on the loopback interface only, and takes nothing from web pages: those send an `Origin`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, ORIGIN};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::order::{FaultId, Order};
use crate::server::ACCEPT_AGAIN;
use crate::socket::Event;

/// A fault is a few hundred bytes.
const BODY_MAX: usize = 64 << 10;
/// Who does not send a whole request in this time is not served.
const SLOW: Duration = Duration::from_secs(10);

/// Whether an address is this machine's own.
pub(crate) fn is_local(address: &SocketAddr) -> bool {
    address.ip().is_loopback()
}

/// Serves operators until the task is aborted.
pub(crate) async fn attend(listener: TcpListener, events: Sender<Event>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let events = events.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, &events));
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(SLOW);
            // A client that breaks off has its reasons.
            drop(http.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

/// What an operator wants.
enum Wish {
    Look,
    Order(Order),
    Stop,
}

async fn answer(
    request: Request<Incoming>,
    events: &Sender<Event>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match wish(request).await {
        Err(nonsense) => return Ok(nonsense.answer()),
        Ok(wish) => match carry_out(wish, events).await {
            Some(Ok(body)) => (StatusCode::OK, body),
            Some(Err(why)) => (StatusCode::BAD_REQUEST, error(&why)),
            None => (StatusCode::SERVICE_UNAVAILABLE, error("the session is at its end")),
        },
    };
    Ok(json(status, body))
}

/// Has the owner of the cluster do it; `None` if there is none any more.
async fn carry_out(wish: Wish, events: &Sender<Event>) -> Option<Result<String, String>> {
    match wish {
        Wish::Look => {
            let (answer, shown) = oneshot::channel();
            events.send(Event::Look { answer }).ok()?;
            shown.await.ok().map(Ok)
        }
        Wish::Order(order) => {
            let (answer, done) = oneshot::channel();
            events.send(Event::Order { order, answer }).ok()?;
            done.await.ok()
        }
        Wish::Stop => {
            events.send(Event::Stop).ok()?;
            Some(Ok("{\"stopping\":true}".to_owned()))
        }
    }
}

/// A request that makes no sense.
struct Nonsense {
    status: StatusCode,
    what: String,
    /// The method that the path takes, if it was another.
    allowed: Option<&'static str>,
}

impl Nonsense {
    fn new(status: StatusCode, what: impl Into<String>) -> Nonsense {
        Nonsense { status, what: what.into(), allowed: None }
    }

    fn method(path: &str, allowed: &'static str) -> Nonsense {
        let what = format!("{path} takes {allowed}");
        Nonsense { status: StatusCode::METHOD_NOT_ALLOWED, what, allowed: Some(allowed) }
    }

    fn answer(self) -> Response<Full<Bytes>> {
        let mut response = json(self.status, error(&self.what));
        if let Some(allowed) = self.allowed {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        response
    }
}

/// What a request asks for.
async fn wish(request: Request<Incoming>) -> Result<Wish, Nonsense> {
    if request.headers().contains_key(ORIGIN) {
        return Err(Nonsense::new(StatusCode::FORBIDDEN, "web pages have no say here"));
    }
    let path = request.uri().path().to_owned();
    match (request.method(), path.as_str()) {
        (&Method::GET, "/state") => Ok(Wish::Look),
        (&Method::POST, "/fault") => {
            let body = Limited::new(request.into_body(), BODY_MAX).collect();
            let Ok(Ok(body)) = tokio::time::timeout(SLOW, body).await else {
                let what = format!("the body did not come, or has more than {BODY_MAX} bytes");
                return Err(Nonsense::new(StatusCode::BAD_REQUEST, what));
            };
            match String::from_utf8(body.to_bytes().into()) {
                Ok(fault) => Ok(Wish::Order(Order::Fault(fault))),
                Err(_) => Err(Nonsense::new(StatusCode::BAD_REQUEST, "the body is not UTF-8")),
            }
        }
        (&Method::POST, "/heal") => Ok(Wish::Order(Order::HealAll)),
        (&Method::POST, "/stop") => Ok(Wish::Stop),
        (_, "/state") => Err(Nonsense::method(&path, "GET")),
        (_, "/fault" | "/heal" | "/stop") => Err(Nonsense::method(&path, "POST")),
        (method, path) => match path.strip_prefix("/fault/").map(str::parse) {
            Some(Ok(id)) if method == Method::DELETE => Ok(Wish::Order(Order::Heal(FaultId(id)))),
            Some(Ok(_)) => Err(Nonsense::method(path, "DELETE")),
            _ => {
                let known = "GET /state, POST /fault, DELETE /fault/ID, POST /heal and POST /stop";
                Err(Nonsense::new(StatusCode::NOT_FOUND, format!("there is no {path}; there are {known}")))
            }
        },
    }
}

fn json(status: StatusCode, mut body: String) -> Response<Full<Bytes>> {
    body.push('\n');
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error as JSON.
fn error(what: &str) -> String {
    let mut text = String::from("{\"error\":\"");
    for c in what.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            c if c < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text + "\"}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_json_whatever_it_quotes() {
        assert_eq!(error("no \"x\\y\"\n\u{1}"), r#"{"error":"no \"x\\y\"\n\u0001"}"#);
    }
}
