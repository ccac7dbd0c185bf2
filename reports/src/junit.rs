//! Runs as JUnit XML, the form that CI servers read.

use std::collections::BTreeSet;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::{RunRecord, Verdict};

/// A run with the command that repeats it.
#[derive(Clone, Copy, Debug)]
pub struct JunitRun<'a> {
    /// The run.
    pub record: &'a RunRecord,
    /// The one command that repeats it.
    pub repeat: &'a str,
}

/// What was not carried to its end.
#[derive(Clone, Copy, Debug)]
pub struct JunitBroken<'a> {
    /// The scenario, its variant in brackets if it has any; what the user named if there is none.
    pub scenario: &'a str,
    /// The run that broke off: its seed, and the one command that repeats it. `None` if it did not come to a run.
    pub run: Option<(u64, &'a str)>,
    /// Why.
    pub error: &'a str,
}

/// The runs as JUnit XML: a test suite per scenario and variant, a test case per seed. What did not hold is the failure's text,
/// with its evidence, the last trace lines and the command that repeats the run. Times are wall time, which is what CI servers
/// take them for. What broke off, or never came to a run, is an error, not a failure.
pub fn junit(runs: &[JunitRun<'_>], broken: Option<JunitBroken<'_>>) -> String {
    let mut suites: Vec<TestSuite> = Vec::new();
    let ended = runs.iter().map(|run| (suite_name(run.record), test_case(run)));
    let broken = broken.iter().map(|broken| (broken.scenario.to_owned(), broken_case(broken)));
    for (name, case) in ended.chain(broken) {
        match suites.iter_mut().find(|suite| suite.name.as_str() == name) {
            Some(suite) => {
                suite.add_test_case(case);
            }
            None => {
                let mut suite = TestSuite::new(name);
                suite.add_test_case(case);
                suites.push(suite);
            }
        }
    }
    // Only now do the suites know how many cases they have, which the report adds up.
    let mut report = Report::new("trial");
    report.add_test_suites(suites);
    report.to_string().expect("XML in memory has no errors but our own")
}

fn suite_name(record: &RunRecord) -> String {
    match record.variant.as_str() {
        "" => record.scenario.clone(),
        variant => format!("{} ({variant})", record.scenario),
    }
}

fn test_case(JunitRun { record, repeat }: &JunitRun<'_>) -> TestCase {
    let mut case = TestCase::new(format!("seed {}", record.seed), status(record, repeat));
    case.set_classname(format!("trial.{}", record.scenario))
        .set_time(Duration::from_nanos(record.wall_ns))
        .set_system_out(format!(
            "trace hash {}\n{} records acknowledged, {} read, {} {} ms\n",
            record.trace_hash,
            record.acked_records,
            record.read_records,
            record.simulated_ns / 1_000_000,
            record.kind_of_time()
        ));
    case
}

fn broken_case(broken: &JunitBroken<'_>) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(broken.error);
    let Some((seed, repeat)) = broken.run else { return TestCase::new("input", status) };
    status.set_description(format!("repeat: {repeat}\n"));
    TestCase::new(format!("seed {seed}"), status)
}

fn status(record: &RunRecord, repeat: &str) -> TestCaseStatus {
    if record.verdict == Verdict::Pass {
        return TestCaseStatus::success();
    }
    let mut text = String::new();
    let mut first = None;
    let mut traced = BTreeSet::new();
    for violation in record.violations.iter().filter(|violation| !violation.expected) {
        let evidence = violation.evidence.first().map_or("", String::as_str);
        first.get_or_insert((violation.property.as_str(), evidence.to_owned()));
        text += &format!("{} at {} ns\n", violation.property, violation.at_ns);
        violation.evidence.iter().for_each(|line| text += &format!("  {line}\n"));
        // What is found at one instant has one trace.
        if traced.insert(&violation.trace) {
            text += "last trace lines:\n";
            violation.trace.iter().for_each(|line| text += &format!("  {line}\n"));
        }
    }
    for expectation in record.expectations.iter().filter(|expectation| !expectation.met) {
        let line = format!("expected: {}; found: {}", expectation.what, expectation.found);
        text += &format!("{line}\n");
        first.get_or_insert(("expectation", line));
    }
    text += &format!("repeat: {repeat}\n");
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    let (kind, message) = first.unwrap_or(("failure", String::new()));
    status.set_type(kind).set_message(message).set_description(text);
    status
}
