//! Turns the record of a run into a page, tables and JSON.
//!
//! [`RunRecord`] is everything that is known about a run; `SCHEMA.md` describes its JSON form. [`write`] makes a folder of it:
//! `report.html` (one self-contained page), `record.json`, `series.csv`, `latency.csv`, `timeline.csv` and `fault-plan.toml`.
//! The same record always gives the same bytes: nothing here reads a clock or the environment.

mod axis;
mod chart;
mod format;
mod glyph;
mod history;
mod junit;
mod lanes;
mod latency;
mod markup;
mod overview;
mod page;
mod record;
mod tables;
mod timeline;
mod write;

pub use history::{history_edn, history_ndjson};
pub use junit::{JunitBroken, JunitRun, junit};
pub use page::to_html;
pub use record::*;
pub use tables::{latency_csv, series_csv, timeline_csv};
pub use write::{ReportError, to_json, write};
