//! The binary from outside: what it prints, how it exits.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use expect_test::{Expect, expect, expect_file};

/// A cluster with little to do, so that the test is quick even without optimisation.
const SMALL: &str = r#"
name = "small"
about = "A broker is killed under a trickle of load."
duration = "12s"
warmup = "4s"

[cluster]
nodes = 3
config = { "min.insync.replicas" = 2, "broker.session.timeout.ms" = 3000 }

[[topic]]
name = "orders"
partitions = 2
replication_factor = 3

[[workload]]
kind = "produce"
topic = "orders"
rate = "20/s"

[[workload]]
kind = "consume"
topic = "orders"

[[fault]]
at = "6s"
kill = { leader_of = "orders-0" }
for = "2s"
"#;

fn trial(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trial")).args(arguments).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("it prints text")
}

/// A folder of its own for each test, made empty.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).expect("it can be emptied");
    }
    std::fs::create_dir_all(&folder).expect("it can be made");
    folder
}

fn scenario(folder: &std::path::Path, text: &str) -> String {
    let file = folder.join("small.toml");
    std::fs::write(&file, text).expect("it can be written");
    file.to_str().expect("a path of letters").to_owned()
}

/// What differs from run to run: wall time, and the test's folder.
fn steady(printed: &str, folder: &std::path::Path) -> String {
    let printed = printed.replace(folder.to_str().expect("a path of letters"), "DIR");
    let steady = |line: &str| match line.split_once(" of wall time") {
        Some((before, after)) => {
            let (before, _) = before.rsplit_once(" in ").expect("the line says in how much");
            format!("{before} in WALL of wall time{after}\n")
        }
        None => format!("{line}\n"),
    };
    printed.lines().map(steady).collect()
}

fn refused(arguments: &[&str], expected: Expect) {
    let output = trial(arguments);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    expected.assert_eq(text(&output.stderr).lines().next().unwrap_or_default());
}

#[test]
fn help_teaches() {
    assert!(text(&trial(&["--version"]).stdout).starts_with("trial "));
    let help = trial(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    expect_file!["golden/help.txt"].assert_eq(&text(&help.stdout));
    let help = trial(&["run", "--help"]);
    expect_file!["golden/run-help.txt"].assert_eq(&text(&help.stdout));
    let help = text(&trial(&["verify", "--help"]).stdout);
    assert!(help.contains("Exit codes: 0 all runs are equal"), "{help}");
    let help = trial(&["serve", "--help"]);
    expect_file!["golden/serve-help.txt"].assert_eq(&text(&help.stdout));
}

#[test]
fn a_served_cluster_is_there_for_clients_and_judged_at_the_end() {
    let folder = folder("serves");
    let report = folder.join("report");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--report", report.to_str().unwrap()];
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial"));
    let mut server = command.args(arguments).stdout(Stdio::piped()).spawn().expect("the binary starts");
    let mut printed = BufReader::new(server.stdout.take().expect("it is piped"));
    let mut first = String::new();
    printed.read_line(&mut first).expect("it prints where it listens");
    let servers = first.trim().strip_prefix("bootstrap.servers=").expect("that is what clients call it");
    assert_eq!(servers.split(',').count(), 3, "{servers}");
    let mut client = TcpStream::connect(servers.split(',').next().unwrap()).expect("it listens");
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("the socket stands");
    let closed = client.read(&mut [0; 10]);
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");

    let taken = servers.split(',').next().unwrap();
    let second = trial(&["serve", "--listen", taken]);
    assert_eq!(second.status.code(), Some(2));
    let complaint = text(&second.stderr);
    assert!(complaint.starts_with(&format!("error: --listen: cannot listen on {taken}: ")), "{complaint}");

    let id = server.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("there is kill").success());
    let mut rest = String::new();
    printed.read_to_string(&mut rest).expect("it prints text");
    assert_eq!(server.wait().expect("it ends").code(), Some(0), "{rest}");
    assert!(
        rest.contains("serve: pass (seed 1)") && rest.contains("  refused       1 connections: "),
        "{rest}"
    );
    for measured in ["produce", "end to end", "compression"] {
        assert!(!rest.contains(measured), "nobody has measured that: {rest}");
    }
    assert!(report.join("report.html").exists());
}

/// Sends one request to an operator's line; returns the body of the answer.
fn order(control: &str, line: &str, body: &str) -> String {
    let mut socket = TcpStream::connect(control).expect("the line is there");
    let length = body.len();
    let request =
        format!("{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    socket.write_all(request.as_bytes()).expect("the socket stands");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it is text");
    answer.split_once("\r\n\r\n").expect("it has a body").1.to_owned()
}

#[test]
fn a_session_that_fails_is_replayed_and_fails_again() {
    let folder = folder("session");
    // Flushing is left to the kernel, so that a loss of power everywhere loses what was acknowledged.
    let file = scenario(&folder, SMALL.split("[[fault]]").next().expect("there is a first part"));
    let (session, report) = (folder.join("session"), folder.join("report"));
    let (session, report) = (session.to_str().unwrap(), report.to_str().unwrap());
    let mut server = Command::new(env!("CARGO_BIN_EXE_trial"))
        .args(["serve", &file, "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
        .args(["--record", session, "--report", report])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut printed = BufReader::new(server.stdout.take().expect("it is piped"));
    let mut control = String::new();
    while !control.starts_with("control=") {
        control.clear();
        assert!(printed.read_line(&mut control).expect("it prints text") > 0);
    }
    let control = control.trim_end().strip_prefix("control=http://").expect("it is an address");
    let acknowledged = |state: &serde_json::Value| {
        let partitions = state["partitions"].as_array().expect("there are some").clone();
        partitions.iter().all(|p| p["high_watermark"].as_u64() > Some(3))
    };
    let mut state = serde_json::Value::Null;
    while state.is_null() || !acknowledged(&state) {
        state = serde_json::from_str(&order(control, "GET /state", "")).expect("it is JSON");
    }
    let wrong = order(control, "POST /fault", r#"{"kill": "brokr-1"}"#);
    assert!(wrong.contains("there is no host \\\"brokr-1\\\"; did you mean"), "{wrong}");
    let struck = order(control, "POST /fault", r#"{"power_off": "all_brokers", "for": "1s"}"#);
    assert!(struck.contains("cut the power of broker-1, broker-2, broker-3"), "{struck}");
    order(control, "POST /stop", "");
    let mut rest = String::new();
    printed.read_to_string(&mut rest).expect("it prints text");
    assert_eq!(server.wait().expect("it ends").code(), Some(1), "{rest}");
    let line = |text: &str, name: &str| {
        text.lines().find(|line| line.trim_start().starts_with(name)).map(str::to_owned).expect("it is said")
    };
    for _ in 0..2 {
        let again = trial(&["replay", session, "--report", report]);
        let said = text(&again.stdout);
        assert_eq!(again.status.code(), Some(1), "{said}");
        assert_eq!(line(&said, "trace hash"), line(&rest, "trace hash"));
        assert_eq!(line(&said, "VIOLATION"), line(&rest, "VIOLATION"));
        // The fault, and the end of what is by hand.
        assert_eq!(line(&said, "replayed"), "  replayed      2 inputs; the same run as was recorded");
    }
    let bytes = std::fs::read(session).expect("it is there");
    std::fs::write(session, &bytes[..bytes.len() - 30]).expect("it can be written");
    let cut = trial(&["replay", session, "--report", report]);
    assert!(text(&cut.stderr).contains(": damaged at byte "), "{}", text(&cut.stderr));
    assert!(text(&cut.stdout).contains("the record has no hash of the end"), "{}", text(&cut.stdout));
}

#[test]
fn files_of_logs_are_all_dumped_and_what_is_wrong_exits_1() {
    let folder = folder("dump");
    let file = |name: &str, content: &[u8]| {
        let file = folder.join(name);
        std::fs::write(&file, content).expect("it can be written");
        file.to_str().expect("a path of letters").to_owned()
    };
    let empty = file("00000000000000000007.log", b"");
    let torn = file("00000000000000000008.log", &[0; 20]);
    let epochs = file("leader-epoch-checkpoint", &[0xff; 20]);
    let other = file("other.txt", b"");
    let dumped = |files: &[&str]| {
        let output = trial(&[&["log", "dump"], files].concat());
        assert!(text(&output.stdout).ends_with(&format!("Dumping {empty}\nLog starting offset: 7\n")));
        (output.status.code(), text(&output.stderr))
    };
    assert_eq!(dumped(&[&empty]), (Some(0), String::new()));
    for damaged in [&torn, &epochs] {
        let (code, complaint) = dumped(&[damaged, &empty]);
        assert_eq!(code, Some(1), "{complaint}");
        assert!(complaint.contains(damaged), "{complaint}");
    }
    for (wrong, why) in [(other.as_str(), "not a file of a log"), ("nowhere.log", "No such file")] {
        let (code, complaint) = dumped(&[wrong, &torn, &empty]);
        assert_eq!(code, Some(2), "{complaint}");
        assert!(complaint.contains(why) && complaint.contains(&torn), "{complaint}");
    }
}

#[test]
fn reports_are_called_as_what_was_run() {
    let folder = folder("named");
    let file = scenario(&folder, &SMALL.replace("\"small\"", "\"leader-crash\""));
    let report = |engine: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trial"));
        command.args(["run", &file]).args(engine).current_dir(&folder);
        let output = command.output().expect("the binary starts");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    };
    report(&[]);
    report(&["--engine", "turmoil"]);
    let made = std::fs::read_dir(folder.join("trial-report")).expect("they are there");
    let mut made: Vec<_> = made.map(|entry| entry.expect("it is").file_name()).collect();
    made.sort();
    assert_eq!(made, ["small-1", "small-1-turmoil"]);
}

#[test]
fn a_run_that_takes_long_is_announced() {
    let file = scenario(&folder("long"), &SMALL.replace("\"12s\"", "\"1000h\""));
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial"));
    let mut child = command.args(["run", &file, "--json"]).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut note = String::new();
    let said = BufReader::new(child.stderr.take().expect("it is piped")).read_line(&mut note);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    said.expect("it is text");
    assert!(note.contains("reckon with "), "{note}");
}

#[test]
fn lists_are_complete() {
    let list = trial(&["list"]);
    expect_file!["golden/list.txt"].assert_eq(&text(&list.stdout));
    let list = trial(&["list", "--checkers"]);
    expect_file!["golden/checkers.txt"].assert_eq(&text(&list.stdout));
    let configs = text(&trial(&["list", "--configs"]).stdout);
    for line in [
        "  default.replication.factor = \"1\"\n      the replication factor of ",
        "  cleanup.policy = \"delete\"\n",
    ] {
        assert!(configs.contains(line), "{line}");
    }
    let file = trial(&["list", "leader-crash"]);
    assert_eq!(text(&file.stdout), include_str!("../../../scenarios/catalog/leader-crash.toml"));
}

#[test]
fn a_run_that_holds_says_so_and_writes_its_report() {
    let folder = folder("holds");
    let file = scenario(&folder, SMALL);
    let report = folder.join("report");
    let output = trial(&["run", &file, "--report", report.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    expect_file!["golden/run.txt"].assert_eq(&steady(&text(&output.stdout), &folder));
    for name in ["report.html", "record.json", "series.csv", "latency.csv", "timeline.csv", "fault-plan.toml"]
    {
        assert!(report.join(name).is_file(), "{name}");
    }
    let repeat = std::fs::read_to_string(report.join("fault-plan.toml")).expect("it is there");
    let again = SMALL.split("[[fault]]").next().unwrap().to_owned() + &repeat;
    let again = trial(&["run", &scenario(&folder, &again), "--json"]);
    assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
}

#[test]
fn one_json_object_has_what_the_schema_says() {
    let folder = folder("json");
    let output = trial(&["run", &scenario(&folder, SMALL), "--json", "--seed", "3", "--wire", "bytes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    for (key, value) in
        [("schema", "trial.run/1"), ("scenario", "small"), ("engine", "world"), ("verdict", "pass")]
    {
        assert_eq!(record[key], value, "{key}");
    }
    assert_eq!(record["seed"], 3);
    assert_eq!(record["acked_records"], 160);
    assert_eq!(record["violations"], serde_json::json!([]));
    for key in ["simulated_ns", "wall_ns", "events", "rpcs"] {
        assert!(record[key].as_u64().is_some_and(|n| n > 0), "{key}");
    }
    for latency in ["produce", "end_to_end"] {
        for quantile in ["p50", "p90", "p99", "p99_9", "p99_99", "max"] {
            assert!(
                record["latency_ns"][latency][quantile].as_u64().is_some_and(|n| n > 0),
                "{latency} {quantile}"
            );
        }
    }
}

#[test]
fn a_run_that_fails_exits_1_and_says_how_to_repeat_it() {
    let folder = folder("fails");
    let file = scenario(&folder, &format!("{SMALL}\n[expect]\np99_ms_max = 0\n"));
    let output = trial(&["run", &file, "--seeds", "4-9"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert_eq!(
        printed.lines().filter(|line| line.contains("FAIL")).count(),
        1,
        "it stops at the first:\n{printed}"
    );
    assert!(printed.contains("EXPECTED      produce p99 is at most 0 ms; found: "), "{printed}");
    assert!(printed.ends_with(&format!("repeat: trial run {file} --seed 4\n")), "{printed}");
}

#[test]
fn a_scenario_repeats_in_other_processes() {
    let folder = folder("verify");
    let output = trial(&["verify", &scenario(&folder, SMALL)]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("equal in two processes and with messages as bytes"));
}

#[test]
fn the_same_seed_is_the_same_run_on_turmoil() {
    let file = scenario(&folder("turmoil"), SMALL);
    let record = || {
        let output = trial(&["run", &file, "--engine", "turmoil", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let record: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
        assert_eq!(record["engine"], "turmoil");
        assert_eq!(record["acked_records"], record["sent_records"]);
        record["trace_hash"].clone()
    };
    assert_eq!(record(), record());
}

#[test]
fn a_run_on_loopback_sockets_is_judged_as_any() {
    let short = SMALL
        .replace("duration = \"12s\"\nwarmup = \"4s\"", "duration = \"5s\"\nwarmup = \"2s\"")
        .replace("at = \"6s\"\nkill", "at = \"3s\"\nkill")
        .replace("for = \"2s\"", "for = \"1s\"");
    let output = trial(&["run", &scenario(&folder("tcp"), &short), "--engine", "tcp", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(record["engine"], "tcp");
    assert_eq!(record["lost_records"], 0);
}

#[test]
fn an_engine_that_cannot_do_what_a_scenario_needs_says_so() {
    refused(
        &["run", "pipeline-held-end-txn", "--engine", "turmoil"],
        expect![
            "error: engine turmoil: fault at 7.000s, delay what travels from [pipeline-0] to all others by 2.500s: turmoil's links have one latency for both directions"
        ],
    );
    refused(
        &["run", "one-way-partition", "--engine", "tcp"],
        expect![
            "error: engine tcp: fault at 20.000s, cut the network from [leader of orders-0] to all others: the loopback interface of this machine has no links to cut or to delay"
        ],
    );
    let report = folder("refused").join("reports/slow-disk");
    refused(
        &["run", "slow-disk", "--engine", "turmoil", "--report", report.to_str().unwrap()],
        expect!["error: engine turmoil: it does not model what machines cost: [machine] is not for it"],
    );
    assert!(!report.parent().unwrap().exists(), "nothing was run, nothing is reported");
    refused(
        &["run", "leader-crash", "--engine", "tcp", "--wire", "bytes"],
        expect!["error: --wire bytes is for the engine world; on sockets messages are bytes anyway"],
    );
}

#[test]
fn junit_tells_of_bad_input_and_never_of_an_earlier_run() {
    let folder = folder("junit");
    let file = folder.join("out.xml");
    std::fs::write(&file, "<testsuites name=\"trial\" tests=\"1\" errors=\"0\"/>")
        .expect("it can be written");
    let junit = ["--junit", file.to_str().expect("a path of letters")];
    let scenario = scenario(&folder, &SMALL.replace("\"orders\"\nrate", "\"odrers\"\nrate"));
    let output = trial(&[&["run", &scenario], &junit[..]].concat());
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let written = steady(&std::fs::read_to_string(&file).expect("it is there"), &folder);
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="trial" tests="1" skipped="0" failures="0" errors="1">
            <testsuite name="DIR/small.toml" tests="1" skipped="0" errors="1" failures="0">
                <testcase name="input">
                    <error message="DIR/small.toml:18: there is no topic &quot;odrers&quot;; did you mean &quot;orders&quot;?"/>
                </testcase>
            </testsuite>
        </testsuites>
    "#]].assert_eq(&written);
    refused(
        &[&["run", "slow-disk", "--engine", "turmoil"], &junit[..]].concat(),
        expect!["error: engine turmoil: it does not model what machines cost: [machine] is not for it"],
    );
    let written = std::fs::read_to_string(&file).expect("it is there");
    assert!(written.contains("repeat: trial run slow-disk --seed 1 --engine turmoil"), "{written}");
}

#[test]
fn bad_input_exits_2_with_the_place() {
    let folder = folder("bad");
    refused(
        &["run", "leader-crsh"],
        expect![[
            r#"error: there is no scenario "leader-crsh"; did you mean "leader-crash"? `trial list` shows all of them"#
        ]],
    );
    refused(
        &["serve", "leader-crsh"],
        expect![[
            r#"error: there is no scenario "leader-crsh"; did you mean "leader-crash"? `trial list` shows all of them"#
        ]],
    );
    refused(
        &["serve", "--listen", "localhost:9092"],
        expect![[
            r#"error: invalid value 'localhost:9092' for '--listen <ADDRESS:PORT>': write an IP address and a port, as 127.0.0.1:9092"#
        ]],
    );
    refused(
        &["run", "leader-crash", "--seed", "-1"],
        expect![
            "error: invalid value '-1' for '--seed <N>': write a whole number from 0 to 18446744073709551615"
        ],
    );
    refused(
        &["run", "nowhere.toml"],
        expect!["error: nowhere.toml: cannot be read: No such file or directory (os error 2)"],
    );
    refused(
        &["run", "leader-crash", "--corpus", "nowhere.txt"],
        expect!["error: --corpus nowhere.txt: cannot be read: No such file or directory (os error 2)"],
    );
    let corpus = folder.join("short.txt");
    std::fs::write(&corpus, "too short").expect("it can be written");
    let output = trial(&["run", "leader-crash", "--corpus", corpus.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("short.txt: 9 bytes are too few to cut one value of 200 bytes from")
    );
    let under_a_file = corpus.join("report");
    let output = trial(&["run", "leader-crash", "--report", under_a_file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("short.txt/report: cannot be made"), "{}", text(&output.stderr));
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial"));
    let output = command.args(["list", "--checkers"]).stdout(writer).output().expect("it ends");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(141));
    let (reader, writer) = std::io::pipe().expect("a pipe can be made");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial"));
    let output = command.args(["run", "nowhere.toml"]).stderr(writer).output().expect("it ends");
    assert_eq!(output.status.code(), Some(141));
}

#[test]
#[cfg(target_os = "linux")]
fn complaints_that_find_no_room_do_not_change_how_the_program_ends() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_trial"));
    let output = command.args(["run", "nowhere.toml"]).stderr(full).output().expect("it ends");
    assert_eq!(output.status.code(), Some(2));
}
