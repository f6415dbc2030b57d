//! `OTEL_TRACES_SAMPLER`: is this trace exported? What is recorded here is recorded in any case.

use super::parent::RemoteParent;
use crate::trace::model::TraceId;

/// Which traces are exported.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampler {
    /// Does a parent elsewhere decide?
    by_parent: bool,
    /// Of a trace that begins here, this part.
    ratio: f64,
}

impl Default for Sampler {
    /// `parentbased_always_on`
    fn default() -> Self {
        Self {
            by_parent: true,
            ratio: 1.0,
        }
    }
}

impl Sampler {
    /// Reads the variables' values; `None` if they make no sense.
    pub(super) fn parse(name: &str, argument: Option<&str>) -> Option<Self> {
        let ratio = || match argument {
            None => Some(1.0),
            Some(text) => text
                .parse()
                .ok()
                .filter(|ratio| (0.0..=1.0).contains(ratio)),
        };
        let (by_parent, plain) = match name.strip_prefix("parentbased_") {
            Some(plain) => (true, plain),
            None => (false, name),
        };
        let ratio = match plain {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => ratio()?,
            _ => return None,
        };
        Some(Self { by_parent, ratio })
    }

    /// Is this trace exported?
    pub(super) fn exports(self, trace: TraceId, parent: Option<&RemoteParent>) -> bool {
        if let (true, Some(parent)) = (self.by_parent, parent) {
            return parent.sampled;
        }
        // As OpenTelemetry's samplers have it: by the lower 63 bits, so that all of them agree.
        let low = trace.0 & u128::from(u64::MAX >> 1);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a share of 1 in 2^53 is nobody's"
        )]
        let share = (low as u64) as f64 / (1_u64 << 63) as f64;
        self.ratio >= 1.0 || share < self.ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_means_what_opentelemetry_says() {
        let parent = |sampled| RemoteParent {
            trace: TraceId(1),
            span: crate::trace::model::SpanId(1),
            sampled,
            tracestate: None,
        };
        let (low, high) = (TraceId(1), TraceId(u128::MAX));
        let exports = |name, argument, trace, parent: Option<&RemoteParent>| {
            Sampler::parse(name, argument)
                .unwrap()
                .exports(trace, parent)
        };
        assert!(exports("always_on", None, high, Some(&parent(false))));
        assert!(!exports("always_off", None, low, Some(&parent(true))));
        assert!(exports("traceidratio", Some("0.5"), low, None));
        assert!(!exports("traceidratio", Some("0.5"), high, None));
        assert!(!exports(
            "parentbased_always_on",
            None,
            low,
            Some(&parent(false))
        ));
        assert!(exports(
            "parentbased_always_off",
            None,
            low,
            Some(&parent(true))
        ));
        assert!(!exports("parentbased_traceidratio", Some("0"), low, None));
        assert!(Sampler::default().exports(high, None));
        assert_eq!(Sampler::parse("sometimes", None), None);
        assert_eq!(Sampler::parse("traceidratio", Some("2")), None);
    }
}
