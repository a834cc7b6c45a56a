//! What cameras notice of loads beside them: their latencies without and with each, in one run.

use std::time::Duration;

use serde::Serialize;

use crate::host::Cores;
use crate::latency::{Lost, Probe, permille, sorted};
use crate::media::Clip;
use crate::waits::{Waited, Waits};

/// Latencies without and with a load, each sorted.
#[derive(Debug, Clone, Default)]
pub struct Latencies {
    /// Without.
    pub quiet: Vec<Duration>,
    /// With.
    pub loaded: Vec<Duration>,
}

/// What was found in some time.
#[derive(Debug, Clone, Default, Serialize)]
struct Phase {
    /// Sorted.
    latencies: Vec<Duration>,
    waited: Waited,
    cores: Cores,
}

/// A phase without a load, and the one with it that came next.
#[derive(Debug, Clone, Serialize)]
struct Pair {
    load: usize,
    phases: [Phase; 2],
}

/// What cameras noticed of loads beside them.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    pairs: Vec<Pair>,
    /// How many records each camera was sent.
    pub sent: usize,
    /// How many of each camera came back.
    pub came: Vec<usize>,
    /// What became of those that were not analysed.
    pub lost: Vec<Lost>,
}

impl Comparison {
    /// Measures `neighbours`, to which `clip` is sent in real time, in phases of this length: one without
    /// and one with each of `loads`, in this order. A load is there from `begin` until what that gave is
    /// dropped. `waits` tells what the threads in question waited by now.
    ///
    /// # Panics
    /// When the broker does not take part.
    #[must_use]
    pub fn measure<L>(
        neighbours: &[String],
        clip: &'static Clip,
        phase: Duration,
        loads: impl IntoIterator<Item = usize>,
        waits: impl Fn() -> Waits,
        mut begin: impl FnMut(usize) -> L,
    ) -> Self {
        // Of each phase, the first part is what the one before left behind.
        let settling = phase / 4;
        let probe = Probe::start(neighbours, clip, 25);
        std::thread::sleep(Duration::from_secs(2));
        let mut phases = Vec::new();
        for load in loads {
            let both = [false, true].map(|is_loaded| {
                let running = is_loaded.then(|| begin(load));
                let start = probe.now() + settling;
                std::thread::sleep(settling);
                let before = (waits(), Cores::now());
                std::thread::sleep(phase - settling);
                let (waited, cores) = (waits().since(&before.0), Cores::now().since(before.1));
                let end = probe.now();
                drop(running);
                (start..end, waited, cores)
            });
            phases.push((load, both));
        }
        let (sent, samples) = probe.stop();
        let pairs = phases.into_iter().map(|(load, both)| {
            let phases = both.map(|(when, waited, cores)| {
                let samples = samples.iter().flatten().filter(|sample| when.contains(&sample.sent));
                let latencies = sorted(samples.map(|sample| sample.latency).collect());
                Phase { latencies, waited, cores }
            });
            Pair { load, phases }
        });
        let pairs = pairs.collect();
        let came = samples.iter().map(Vec::len).collect();
        let lost = samples.iter().flatten().filter_map(|sample| sample.lost.clone()).collect();
        Self { pairs, sent, came, lost }
    }

    /// Without the pairs of phases in which the host took more than this part of the cores.
    #[must_use]
    pub fn undisturbed(&self, most: f64) -> Self {
        let mut undisturbed = self.clone();
        undisturbed.pairs.retain(|pair| {
            pair.phases.iter().map(|phase| phase.cores).sum::<Cores>().share_taken() <= most
        });
        undisturbed
    }

    /// How many pairs of phases there are.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// All of these loads.
    #[must_use]
    pub fn of(&self, is_one: impl Fn(usize) -> bool) -> Latencies {
        let [quiet, loaded] = [0, 1].map(|which| {
            let latencies = self.phases(&is_one, which).flat_map(|phase| &phase.latencies);
            sorted(latencies.copied().collect())
        });
        Latencies { quiet, loaded }
    }

    /// With against without these loads, so many of 1000: the median of what each two phases that came
    /// one after the other say. What the machine does otherwise for moments, and some of a thousand
    /// records are late, is in few of them.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn usual(&self, is_one: impl Fn(usize) -> bool, of: usize) -> f64 {
        let ratio = |Pair { phases, .. }: &Pair| {
            let [quiet, loaded] =
                phases.each_ref().map(|phase| permille(&phase.latencies, of).as_secs_f64());
            loaded / quiet
        };
        let pairs = self.pairs.iter().filter(|pair| is_one(pair.load));
        let mut ratios: Vec<f64> = pairs.map(ratio).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let (below, above) = (ratios[(ratios.len() - 1) / 2], ratios[ratios.len() / 2]);
        f64::midpoint(below, above)
    }

    /// What those threads waited for a core, without these loads and with them.
    #[must_use]
    pub fn waited(&self, is_one: impl Fn(usize) -> bool) -> [Waited; 2] {
        [0, 1].map(|which| self.phases(&is_one, which).map(|phase| phase.waited).sum())
    }

    /// What the cores were used for, without these loads and with them.
    #[must_use]
    pub fn cores(&self, is_one: impl Fn(usize) -> bool) -> [Cores; 2] {
        [0, 1].map(|which| self.phases(&is_one, which).map(|phase| phase.cores).sum())
    }

    fn phases(
        &self,
        is_one: &impl Fn(usize) -> bool,
        which: usize,
    ) -> impl Iterator<Item = &Phase> {
        let pairs = self.pairs.iter().filter(|pair| is_one(pair.load));
        pairs.map(move |pair| &pair.phases[which])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_does_not_see_a_moment_in_which_all_is_late() {
        let phase =
            |millis| Phase { latencies: vec![Duration::from_millis(millis)], ..Phase::default() };
        let pair = |load, quiet, loaded| Pair { load, phases: [phase(quiet), phase(loaded)] };
        let pairs = vec![pair(0, 10, 20), pair(0, 10, 900), pair(0, 10, 10), pair(1, 10, 40)];
        let comparison = Comparison { pairs, sent: 0, came: vec![], lost: vec![] };
        let usual = |one| comparison.usual(|load| load == one, 990);
        assert_eq!((usual(0), usual(1)), (2.0, 4.0));
        assert_eq!(comparison.usual(|_| true, 990), 3.0, "between the two in the middle");
    }
}
