//! Whatever one tenant's plugins do, another tenant's cameras are analysed at their rate, and not
//! much later than before. How much later on a quiet machine is for `make bench-neighbours`; here
//! the bounds are so wide that only a host which does not isolate breaks them.

use std::time::Duration;

use comux_tests::comparison::{Beside, Comparison};
use comux_tests::latency::permille;
use comux_tests::media;
use comux_tests::neighbours::{Load, compare};

const PHASES: (Duration, usize) = (Duration::from_secs(6), 2);

fn assert_unharmed(what: &str, comparison: &Comparison) {
    let Comparison { sent, came, lost, .. } = comparison;
    assert!(came.iter().all(|came| came == sent), "{what}: {came:?} of {sent} came");
    assert!(lost.is_empty(), "{what}: not analysed: {lost:?}");
    let [quiet, loaded] = [Beside::Nothing, Beside::Load].map(|beside| {
        let sorted = comparison.latencies(beside, |_| true);
        [500, 990].map(|of| permille(&sorted, of).as_micros())
    });
    println!("{what}: p50 and p99 in µs without {quiet:?}, with {loaded:?}");
    // On a machine that is busy with other things, being late without the load says how much.
    let most = (10 * quiet[1]).max(500_000);
    assert!(loaded[1] < most, "{what}: p99 went from {} to {} µs", quiet[1], loaded[1]);
}

#[test]
fn cameras_of_others_go_on_in_time_beside_a_hostile_plugin() {
    for (what, config) in [("loop", "how = 'loop'"), ("memory", "how = 'grow-by', size = 60")] {
        let plugin = "hostile";
        let load = Load { cameras: 1, plugin, config, per_second: 25, ends: false };
        let (comparison, _) = compare(&format!("beside-{what}"), &load, media::lowdelay(), PHASES);
        assert_unharmed(what, &comparison);
    }
}

#[test]
fn cameras_of_others_go_on_in_time_beside_a_tenant_at_ten_times_its_share() {
    // Ten cameras that want a core each: a hundred times a fortieth of a second.
    let (plugin, config) = ("slow", "spin = 25_000_000");
    let load = Load { cameras: 10, plugin, config, per_second: 25, ends: false };
    let (comparison, _) = compare("beside-overload", &load, media::lowdelay(), PHASES);
    assert_unharmed("overload", &comparison);
}
