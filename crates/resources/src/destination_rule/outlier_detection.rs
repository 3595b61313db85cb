//! When an endpoint is left out for a while.

use std::time::Duration;

use serde::Deserialize;

use crate::field;

/// Ejection of failing endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutlierDetection {
    /// Deprecated; 502, 503 and 504 in a row.
    pub consecutive_errors: u32,
    /// Count failures to connect apart from error answers.
    pub split_external_local_origin_errors: bool,
    /// Failures to connect in a row, when counted apart; none means 5.
    pub consecutive_local_origin_failures: Option<u32>,
    /// 502, 503 and 504 in a row; 0 turns this off.
    pub consecutive_gateway_errors: Option<u32>,
    /// 5xx in a row; none means 5, 0 turns this off.
    #[serde(rename = "consecutive5xxErrors")]
    pub consecutive_5xx_errors: Option<u32>,
    /// Time between sweeps; none means 10 s.
    #[serde(deserialize_with = "field::duration")]
    pub interval: Option<Duration>,
    /// Least time out, multiplied by the number of ejections; none means 30 s.
    #[serde(deserialize_with = "field::duration")]
    pub base_ejection_time: Option<Duration>,
    /// Greatest share of endpoints out at once, in percent; 0 means not set (10).
    pub max_ejection_percent: u32,
    /// Share of healthy endpoints below which detection stops, in percent.
    pub min_health_percent: u32,
    /// Answers that count as errors; empty means 5xx.
    pub outlier_detection_http_error_codes: Vec<u16>,
}
