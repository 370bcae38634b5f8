//! `-L --prometheus` and `-L --openmetrics`: the table as metrics.

use std::path::PathBuf;

use ipvs_client::ServiceKey;

use super::listing::LISTINGS;
use crate::grammar::error::{Error, shown, usage};
use crate::grammar::line::{Line, set};
use crate::grammar::request::Request;
use crate::grammar::table::{Completion, OptionSpec, Value};
use crate::metrics::Selection;

/// The two options are one in messages.
const METRICS: &str = "metrics";
const OTHER_FORMS: &[&str] = &["connection", "timeout", "daemon", "json", "table", "wide"];

pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        long: "prometheus",
        group: Some(METRICS),
        with: LISTINGS,
        conflicts: OTHER_FORMS,
        help: "As metrics in the text format of Prometheus, which node_exporter's textfile collector reads",
        set: |line, _| set(&mut line.metrics().exposition, Exposition::Prometheus),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "openmetrics",
        group: Some(METRICS),
        with: LISTINGS,
        conflicts: OTHER_FORMS,
        help: "As metrics in the text format of OpenMetrics 1.0",
        set: |line, _| set(&mut line.metrics().exposition, Exposition::OpenMetrics),
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "only",
        value: Value::Required("METRIC[,METRIC...]"),
        completion: Completion::Words(&["service", "server", "server_weight", "hash_table", "daemon_info"]),
        with: LISTINGS,
        needs: Some(METRICS),
        help: "Only metrics of these names, or whose names begin so; ipvs_ can be left out",
        set: |line, value| {
            let words = value.text().split(|byte| *byte == b',');
            let only = Selection::of(words).map_err(|word| {
                usage(format!("--only takes the beginnings of metrics' names, not `{}'", shown(word)))
            })?;
            set(&mut line.metrics().only, only)
        },
        ..OptionSpec::PLAIN
    },
    OptionSpec {
        long: "saved",
        value: Value::Required("PATH"),
        completion: Completion::File,
        with: LISTINGS,
        needs: Some(METRICS),
        help: "With a metric of how many changes would make the table equal to this file of rules",
        set: |line, value| set(&mut line.metrics().saved, Some(value.text())),
        ..OptionSpec::PLAIN
    },
];

/// `-L --prometheus` and `-L --openmetrics`, with their options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Of this service alone.
    pub service: Option<ServiceKey>,
    /// In which format.
    pub exposition: Exposition,
    /// Only these.
    pub only: Selection,
    /// Into this file rather than to standard output.
    pub file: Option<PathBuf>,
    /// Compared with this file of rules.
    pub saved: Option<PathBuf>,
}

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' text format 0.0.4.
    Prometheus,
    /// OpenMetrics' text format 1.0.
    OpenMetrics,
}

/// What the options said.
pub(in crate::grammar) struct MetricsOptions<'w> {
    exposition: Exposition,
    only: Selection,
    saved: Option<&'w [u8]>,
}

impl<'w> Line<'w> {
    fn metrics(&mut self) -> &mut MetricsOptions<'w> {
        self.metrics.get_or_insert_with(|| {
            Box::new(MetricsOptions { exposition: Exposition::Prometheus, only: Selection::ALL, saved: None })
        })
    }
}

/// `-L --prometheus` or `--openmetrics`.
pub(super) fn metrics(line: &Line<'_>, options: &MetricsOptions<'_>) -> Result<Request, Error> {
    let MetricsOptions { exposition, only, .. } = *options;
    let file = line.rules.file();
    if exposition == Exposition::Prometheus
        && file.as_ref().is_some_and(|path| path.extension().is_none_or(|extension| extension != "prom"))
    {
        return Err(usage("--file of --prometheus has to end in .prom: the textfile collector reads no other files"));
    }
    let saved = options.saved.map(super::rules::path);
    Ok(Request::Metrics(Box::new(Metrics { service: line.service.key, exposition, only, file, saved })))
}
