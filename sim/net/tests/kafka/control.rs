//! The operator's line, spoken to in bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use trial_net::{Doors, Server};

use super::{Running, brokers};

/// Sends a request; returns the status and the body.
pub fn ask(control: SocketAddr, line: &str, headers: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(control).expect("the line is there");
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    socket.write_all(request.as_bytes()).expect("the socket stands");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("the answer is text");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("it has a status");
    let (_, body) = answer.split_once("\r\n\r\n").expect("it has a body");
    (status, body.trim_end().to_owned())
}

#[test]
fn an_operator_sees_the_cluster_and_is_obeyed() {
    let server = Running::start();
    let ask = |line: &str, body: &str| ask(server.control, line, "", body);
    let (status, state) = ask("GET /state", "");
    assert!(status == 200 && state.starts_with("{\"time_ns\":"), "{status} {state}");
    assert_eq!(ask("POST /fault", "broker-3"), (200, "{\"killed\":2}".to_owned()));
    assert_eq!(ask("POST /fault", "x\"\n"), (400, r#"{"error":"there is no host \"x\\\"\\n\""}"#.to_owned()));
    assert_eq!(ask("DELETE /fault/7", ""), (400, "{\"error\":\"there is no fault 7\"}".to_owned()));
    assert_eq!(ask("POST /heal", ""), (200, "{}".to_owned()));
    assert_eq!(ask("GET /fault", ""), (405, "{\"error\":\"/fault takes POST\"}".to_owned()));
    assert_eq!(ask("GET /fault/x", "").0, 404);
    assert_eq!(ask("POST /fault", &"x".repeat(1 << 17)).0, 400);
    assert_eq!(ask("POST /stop", ""), (200, "{\"stopping\":true}".to_owned()));
    let Running { server, .. } = server;
    server.join().expect("the order ends it");
}

#[test]
fn web_pages_have_no_say() {
    let server = Running::start();
    let (status, _) = ask(server.control, "POST /stop", "Origin: http://evil.example\r\n", "");
    assert_eq!(status, 403);
    assert_eq!(ask(server.control, "GET /state", "", "").0, 200, "it still runs");
    server.end();
}

#[test]
fn the_line_is_for_this_machine_only() {
    let server =
        Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Doors::open(brokers())).expect("ports are free");
    let error = server.control(SocketAddr::from(([0, 0, 0, 0], 0))).expect_err("everybody could reach it");
    assert!(error.to_string().contains("this machine's own addresses"), "{error}");
}
