//! What a ratio against Envoy has to be, and what it came to.

use std::fmt;

/// A column of a table that has a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    Cpu,
    P50,
    P99,
    Idle,
    Loaded,
    GigabytesPerCpuSecond,
    KibPerConnection,
    KibPerService,
}

impl fmt::Display for Figure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Figure::Cpu => "CPU per request",
            Figure::P50 => "p50",
            Figure::P99 => "p99",
            Figure::Idle => "memory at rest",
            Figure::Loaded => "memory under load",
            Figure::GigabytesPerCpuSecond => "GB per CPU second",
            Figure::KibPerConnection => "memory per idle connection",
            Figure::KibPerService => "memory per service",
        })
    }
}

/// Bounds of a ratio: the one that has to hold, and the one aimed at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    pub(super) figure: Figure,
    must: f64,
    stretch: f64,
    better: Better,
}

#[derive(Clone, Copy, Debug)]
enum Better {
    Less,
    More,
}

impl Goal {
    pub(super) const fn at_most(figure: Figure, must: f64, stretch: f64) -> Goal {
        Goal { figure, must, stretch, better: Better::Less }
    }

    pub(super) const fn at_least(figure: Figure, must: f64, stretch: f64) -> Goal {
        Goal { figure, must, stretch, better: Better::More }
    }

    /// One line: the ratio, and which bounds it keeps.
    pub(super) fn verdict(&self, ratio: f64) -> String {
        let keeps = |bound: f64| match self.better {
            Better::Less => ratio <= bound,
            Better::More => ratio >= bound,
        };
        let word = |bound: f64| if keeps(bound) { "met" } else { "MISSED" };
        let sign = match self.better {
            Better::Less => "≤",
            Better::More => "≥",
        };
        let Goal { figure, must, stretch, .. } = self;
        format!(
            "{figure}: {ratio:.2} of Envoy's; must {sign} {must:.2} {}, stretch {sign} {stretch:.2} {}",
            word(*must),
            word(*stretch).to_lowercase()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_says_which_bounds_hold() {
        let less = Goal::at_most(Figure::Cpu, 0.5, 0.4);
        assert_eq!(
            less.verdict(0.45),
            "CPU per request: 0.45 of Envoy's; must ≤ 0.50 met, stretch ≤ 0.40 missed"
        );
        let more = Goal::at_least(Figure::GigabytesPerCpuSecond, 1.4, 1.7);
        assert_eq!(
            more.verdict(1.2),
            "GB per CPU second: 1.20 of Envoy's; must ≥ 1.40 MISSED, stretch ≥ 1.70 missed"
        );
    }
}
