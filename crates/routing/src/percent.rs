//! Fractions: how often something happens, decided by a number that comes
//! in from outside.

use xds::envoy::config::core::v3::RuntimeFractionalPercent;
use xds::envoy::r#type::v3::FractionalPercent;
use xds::envoy::r#type::v3::fractional_percent::DenominatorType;

/// A share of a hundred, ten thousand or a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fraction {
    numerator: u32,
    denominator: u32,
}

impl Fraction {
    /// Always.
    pub const ALWAYS: Fraction = Fraction { numerator: 100, denominator: 100 };

    /// Reads a fraction message.
    pub fn compile(wire: &FractionalPercent) -> Fraction {
        let denominator = match DenominatorType::try_from(wire.denominator) {
            Ok(DenominatorType::TenThousand) => 10_000,
            Ok(DenominatorType::Million) => 1_000_000,
            _ => 100,
        };
        Fraction { numerator: wire.numerator, denominator }
    }

    /// Reads a runtime fraction; there is no runtime here, so its default
    /// holds, and a missing default means never.
    pub fn runtime(wire: &RuntimeFractionalPercent) -> Fraction {
        wire.default_value.as_ref().map_or(Fraction { numerator: 0, denominator: 100 }, Fraction::compile)
    }

    /// Whether the random number falls into the fraction.
    pub fn happens(self, random: u64) -> bool {
        random % u64::from(self.denominator) < u64::from(self.numerator)
    }

    /// Whether no random number falls into it.
    pub fn is_never(self) -> bool {
        self.numerator == 0
    }

    /// The fraction in percent.
    pub fn percent(self) -> f64 {
        f64::from(self.numerator) * 100.0 / f64::from(self.denominator)
    }
}
