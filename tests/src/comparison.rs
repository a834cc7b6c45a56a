//! What cameras notice of loads beside them: their latencies without and with each, in one run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::host::Cores;
use crate::latency::{Lost, Probe, permille, sorted};
use crate::media::Clip;
use crate::waits::{Waited, Waits};

/// What is beside the cameras.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// What a tenant does who behaves and otherwise has as much as the load.
    Behaved,
    /// The load.
    Load,
}

/// What was found in some time.
#[derive(Debug, Clone, Default, Serialize)]
struct Phase {
    /// Sorted.
    latencies: Vec<Duration>,
    waited: Waited,
    cores: Cores,
}

/// Phases that came one after the other.
#[derive(Debug, Clone, Serialize)]
struct Turn {
    load: usize,
    phases: BTreeMap<Beside, Phase>,
}

/// What cameras noticed of loads beside them.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    turns: Vec<Turn>,
    /// How many records each camera was sent.
    pub sent: usize,
    /// How many of each camera came back.
    pub came: Vec<usize>,
    /// What became of those that were not analysed.
    pub lost: Vec<Lost>,
}

impl Comparison {
    /// Measures `neighbours`, to which `clip` is sent in real time, in phases of this length: for
    /// each of `loads`, in this order, one without any, and one beside each that `begin` gives of
    /// it. That is there until it is dropped. `waits` tells what the threads in question waited by
    /// now.
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
        mut begin: impl FnMut(usize, Beside) -> Option<L>,
    ) -> Self {
        // Of each phase, the first part is what the one before left behind.
        let settling = phase / 4;
        let probe = Probe::start(neighbours, clip, 25);
        std::thread::sleep(Duration::from_secs(2));
        let mut phases = Vec::new();
        for load in loads {
            for beside in [Beside::Nothing, Beside::Behaved, Beside::Load] {
                let running = begin(load, beside);
                if running.is_none() && beside != Beside::Nothing {
                    continue;
                }
                let start = probe.now() + settling;
                std::thread::sleep(settling);
                let before = (waits(), Cores::now());
                std::thread::sleep(phase - settling);
                let (waited, cores) = (waits().since(&before.0), Cores::now().since(before.1));
                let end = probe.now();
                drop(running);
                phases.push((load, beside, start..end, waited, cores));
            }
        }
        let (sent, samples) = probe.stop();
        let mut turns: Vec<Turn> = Vec::new();
        for (load, beside, when, waited, cores) in phases {
            if beside == Beside::Nothing {
                turns.push(Turn { load, phases: BTreeMap::new() });
            }
            let samples = samples.iter().flatten().filter(|sample| when.contains(&sample.sent));
            let latencies = sorted(samples.map(|sample| sample.latency).collect());
            let turn = turns.last_mut().expect("it began without any");
            turn.phases.insert(beside, Phase { latencies, waited, cores });
        }
        let came = samples.iter().map(Vec::len).collect();
        let lost = samples.iter().flatten().filter_map(|sample| sample.lost.clone()).collect();
        Self { turns, sent, came, lost }
    }

    /// Without the turns in which the host took more than this part of the cores.
    #[must_use]
    pub fn undisturbed(&self, most: f64) -> Self {
        let mut undisturbed = self.clone();
        undisturbed.turns.retain(|turn| {
            turn.phases.values().map(|phase| phase.cores).sum::<Cores>().share_taken() <= most
        });
        undisturbed
    }

    /// How many turns there are, of as many phases as there are kinds.
    #[must_use]
    pub fn turns(&self) -> usize {
        self.turns.len()
    }

    /// Latencies beside these loads, or what stands for them, sorted.
    #[must_use]
    pub fn latencies(&self, beside: Beside, is_one: impl Fn(usize) -> bool) -> Vec<Duration> {
        let latencies = self.phases(beside, &is_one).flat_map(|phase| &phase.latencies);
        sorted(latencies.copied().collect())
    }

    /// So many of 1000 beside these loads against what they are beside `other`: the median of what
    /// each turn says. What the machine does otherwise for moments, and some of a thousand records
    /// are late, is in few of them.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn usual(&self, other: Beside, is_one: impl Fn(usize) -> bool, of: usize) -> f64 {
        let [without, with] = [other, Beside::Load].map(|beside| {
            let phases = self.phases(beside, &is_one);
            phases.map(|phase| permille(&phase.latencies, of).as_secs_f64())
        });
        let mut ratios: Vec<f64> =
            with.zip(without).map(|(with, without)| with / without).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let (below, above) = (ratios[(ratios.len() - 1) / 2], ratios[ratios.len() / 2]);
        f64::midpoint(below, above)
    }

    /// What those threads waited for a core beside these loads, or what stands for them.
    #[must_use]
    pub fn waited(&self, beside: Beside, is_one: impl Fn(usize) -> bool) -> Waited {
        self.phases(beside, &is_one).map(|phase| phase.waited).sum()
    }

    /// What the cores were used for meanwhile.
    #[must_use]
    pub fn cores(&self, is_one: impl Fn(usize) -> bool) -> Cores {
        let turns = self.turns.iter().filter(|turn| is_one(turn.load));
        turns.flat_map(|turn| turn.phases.values()).map(|phase| phase.cores).sum()
    }

    fn phases(
        &self,
        beside: Beside,
        is_one: &impl Fn(usize) -> bool,
    ) -> impl Iterator<Item = &Phase> {
        let turns = self.turns.iter().filter(|turn| is_one(turn.load));
        turns.filter_map(move |turn| turn.phases.get(&beside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_left_out_in_which_the_host_took_much() {
        let turn = |taken| {
            let cores = Cores::of(100, taken);
            let phase = Phase { cores, ..Phase::default() };
            Turn {
                load: 0,
                phases: [(Beside::Nothing, phase.clone()), (Beside::Load, phase)].into(),
            }
        };
        let turns = [0, 1, 2].map(turn).to_vec();
        let comparison = Comparison { turns, sent: 0, came: vec![], lost: vec![] };
        assert_eq!([0.0, 0.01, 0.02].map(|most| comparison.undisturbed(most).turns()), [1, 2, 3]);
    }

    #[test]
    fn what_is_usual_does_not_see_a_moment_in_which_all_is_late() {
        let phase =
            |millis| Phase { latencies: vec![Duration::from_millis(millis)], ..Phase::default() };
        let turn = |load, without, with| {
            let phases = [(Beside::Nothing, phase(without)), (Beside::Load, phase(with))];
            Turn { load, phases: phases.into() }
        };
        let turns = vec![turn(0, 10, 20), turn(0, 10, 900), turn(0, 10, 10), turn(1, 10, 40)];
        let comparison = Comparison { turns, sent: 0, came: vec![], lost: vec![] };
        let usual = |one| comparison.usual(Beside::Nothing, |load| load == one, 990);
        assert_eq!((usual(0), usual(1)), (2.0, 4.0));
        let of_all = comparison.usual(Beside::Nothing, |_| true, 990);
        assert_eq!(of_all, 3.0, "between the two in the middle");
    }
}
