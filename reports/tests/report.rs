//! Reports of records made by hand.

#[path = "records/history.rs"]
mod history;
mod records;

use std::collections::BTreeSet;

use expect_test::expect_file;
use trial_reports::{
    JunitBroken, JunitRun, RunRecord, history_edn, history_ndjson, junit, latency_csv, series_csv,
    timeline_csv, to_html, to_json, write,
};

fn every_record() -> [RunRecord; 5] {
    [records::leader_crash(), records::unclean(), records::empty(), records::crowd(), records::small()]
}

#[test]
fn the_files_of_a_small_run_are_as_they_were() {
    let record = records::small();
    expect_file!["golden/record.json"].assert_eq(&to_json(&record));
    expect_file!["golden/series.csv"].assert_eq(&series_csv(&record));
    expect_file!["golden/latency.csv"].assert_eq(&latency_csv(&record));
    expect_file!["golden/timeline.csv"].assert_eq(&timeline_csv(&record));
    expect_file!["golden/report.html"].assert_eq(&to_html(&record));
}

#[test]
fn junit_has_a_suite_per_scenario_and_a_case_per_seed() {
    let (small, unclean) = (records::small(), records::unclean());
    let next = RunRecord { seed: small.seed + 1, ..small.clone() };
    let other = RunRecord { variant: "transaction.version=1".into(), ..small.clone() };
    let run = |record| JunitRun { record, repeat: "trial run this --seed 7" };
    let broken = JunitBroken {
        scenario: "unclean-election",
        run: Some((8, "trial run unclean-election --seed 8")),
        error: "seed 8: a node took a million steps in one instant",
    };
    let runs: Vec<JunitRun<'_>> = [&small, &next, &other, &unclean].map(run).into();
    expect_file!["golden/junit.xml"].assert_eq(&junit(&runs, Some(broken)));
}

#[test]
fn what_was_found_at_one_instant_shows_one_trace() {
    let mut record = records::unclean();
    let found = record.violations.pop().expect("it is not expected");
    let mut later = found.clone();
    later.trace.push("31.500 s broker-3 leader-elected orders-1".into());
    record.violations = vec![found.clone(), found, later];
    let html = to_html(&record);
    assert_eq!(html.matches("The last trace lines before it").count(), 2);
    assert_eq!(html.matches("<details open><summary>The last trace lines").count(), 1);
    let xml = junit(&[JunitRun { record: &record, repeat: "trial run this" }], None);
    assert_eq!(
        (xml.matches("leader-completeness at").count(), xml.matches("last trace lines").count()),
        (3, 2)
    );
}

#[test]
fn json_reads_back_as_the_same_record() {
    for record in every_record() {
        assert_eq!(serde_json::from_str::<RunRecord>(&to_json(&record)).unwrap(), record);
    }
}

#[test]
fn a_page_is_balanced_and_refers_to_nothing_outside() {
    for record in every_record() {
        let html = to_html(&record);
        assert_eq!(html, to_html(&record));
        assert_balanced(&html);
        for word in ["http:", "https:", "<script", "src=", "@import", "NaN", "inf\""] {
            assert!(!html.contains(word), "{word} in the page of {}", record.scenario);
        }
        for (at, _) in html.match_indices("href=").chain(html.match_indices("url(")) {
            let target = html[at..].trim_start_matches("href=\"").trim_start_matches("url(");
            assert!(target.starts_with("data:,") || target.starts_with('#'), "{}", &target[..40]);
        }
    }
}

#[test]
fn a_page_of_a_crowd_stays_small() {
    let bytes = to_html(&records::crowd()).len();
    assert!(bytes < 1_500_000, "{bytes}");
}

#[test]
fn what_did_not_hold_comes_first() {
    let html = to_html(&records::unclean());
    let place = |text: &str| html.find(text).unwrap_or_else(|| panic!("{text} is missing"));
    assert!(place("✗ fail") < place("acked-record-lost"));
    assert!(place("acked-record-lost") < place("the scenario expects this"));
    assert!(place("leader epoch 4") < place("trial run unclean-election --seed 7"));
    assert!(place("trial run unclean-election --seed 7") < place("id=\"expectations\""));
    assert!(place("id=\"expectations\"") < place("id=\"time\""));
    assert!(place("not met: never happened after load began") < place("id=\"time\""));
}

#[test]
fn all_files_are_written_whole() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).unwrap();
    let record = records::small();
    let page = write(&record, &folder).unwrap();
    assert_eq!(page, folder.join("report.html"));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(read("report.html"), to_html(&record));
    assert_eq!(read("record.json"), to_json(&record));
    assert_eq!(read("fault-plan.toml"), record.fault_plan);
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let all = ["fault-plan.toml", "latency.csv", "record.json", "report.html", "series.csv", "timeline.csv"];
    assert_eq!(names, all);
}

#[test]
fn a_missing_folder_is_an_error_that_names_it() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("nowhere");
    let error = write(&records::small(), &folder).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

/// Every element that is opened is closed, in order. Knows the elements that close themselves.
fn assert_balanced(html: &str) {
    const VOID: [&str; 4] = ["meta", "link", "!doctype", "br"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "before {}", &rest[..rest.len().min(80)]);
        } else if !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_history_is_written_for_outside_checkers() {
    let history = history::history();
    expect_file!["golden/history.ndjson"].assert_eq(&history_ndjson(&history));
    expect_file!["golden/history.edn"].assert_eq(&history_edn(&history, &BTreeSet::from([4])));
}
