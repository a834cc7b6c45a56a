//! Rounds of cameras that are simulated: each sends at its own times, and has its next frame looked
//! at when it has the answer about the one before.

use proptest::prelude::*;

use crate::plugin::instance::shared::rounds::*;

/// A camera that sends a frame at each of these times, in order.
struct Camera {
    frames: VecDeque<Duration>,
    /// It waits for an answer since then.
    asked: Option<Duration>,
    waits: Vec<Duration>,
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    batches: Vec<Vec<Member>>,
    full: usize,
    /// By camera: how long its frames waited, from when they could be looked at.
    waits: Vec<Vec<Duration>>,
    /// By camera: how long it was behind its source at most.
    behind: Vec<Duration>,
}

impl Outcome {
    fn occupancy(&self) -> f64 {
        self.batches.iter().map(Vec::len).sum::<usize>() as f64 / self.batches.len() as f64
    }

    fn share_of(&self, size: usize) -> f64 {
        let such = self.batches.iter().filter(|batch| batch.len() == size).count();
        such as f64 / self.batches.len() as f64
    }

    fn longest_wait(&self, camera: usize) -> Duration {
        self.waits[camera].iter().copied().max().unwrap_or_default()
    }
}

const STEP: Duration = Duration::from_micros(250);
const BUSY: Duration = Duration::from_millis(2);
const CALL: Duration = Duration::from_millis(3);
/// The first frames are those from which the rhythm is learnt.
const LEARNING: Duration = Duration::from_secs(1);

fn simulate(cameras: Vec<Vec<Duration>>, length: Duration) -> Outcome {
    let start = Instant::now();
    let mut rounds = Rounds::new(32, Duration::from_millis(100));
    let mut cameras: Vec<Camera> = cameras
        .into_iter()
        .map(|frames| Camera { frames: frames.into(), asked: None, waits: Vec::new() })
        .collect();
    (0..cameras.len()).for_each(|member| rounds.join(member as Member));
    let behind = vec![Duration::ZERO; cameras.len()];
    let mut outcome = Outcome { behind, ..Outcome::default() };
    let mut called: Option<(Duration, Vec<Member>)> = None;
    let mut now = Duration::ZERO;
    while now < length {
        if let Some((_, members)) = called.take_if(|(until, _)| now >= *until) {
            rounds.called(CALL);
            members.iter().for_each(|member| cameras[*member as usize].asked = None);
        }
        for (member, camera) in cameras.iter_mut().enumerate() {
            let sent = camera.frames.front().copied().filter(|sent| *sent + BUSY <= now);
            if camera.asked.is_none()
                && let Some(sent) = sent
            {
                camera.frames.pop_front();
                camera.asked = Some(now);
                let behind = &mut outcome.behind[member];
                *behind = (*behind).max(now - sent - BUSY);
                rounds.wait(member as Member, start + now, BUSY);
            }
        }
        if called.is_none()
            && let Some(Over::Now { full }) = rounds.over(start + now)
        {
            let members = rounds.close();
            for member in &members {
                let camera = &mut cameras[*member as usize];
                camera.waits.push(now - camera.asked.expect("it has asked"));
            }
            if now > LEARNING {
                outcome.full += usize::from(full);
                outcome.batches.push(members.clone());
            }
            called = Some((now + CALL, members));
        }
        now += STEP;
    }
    outcome.waits = cameras.into_iter().map(|camera| camera.waits).collect();
    outcome
}

/// Frames at an even pace, each up to `jitter` late.
fn frames(first: f64, per_second: f64, jitter: f64, seconds: f64) -> Vec<Duration> {
    let mut random: u64 = 0x9e37_79b9 ^ (first * 1e6) as u64;
    let mut next = || {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as f64 / (1_u64 << 31) as f64
    };
    let count = (seconds * per_second) as usize;
    (0..count)
        .map(|number| Duration::from_secs_f64(first + number as f64 / per_second + next() * jitter))
        .collect()
}

fn staggered(cameras: usize, per_second: f64, jitter: f64) -> Vec<Vec<Duration>> {
    // As cameras are that were switched on by hand: spread over the interval, unevenly.
    let phase = |camera: usize| (camera as f64 * 0.618_034).fract() / per_second;
    (0..cameras).map(|camera| frames(phase(camera), per_second, jitter, 60.0)).collect()
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn eight_staggered_cameras_fill_their_rounds_within_a_frame_interval() {
    for jitter in [0.0, 0.004, 0.010] {
        let outcome = simulate(staggered(8, 15.0, jitter), MINUTE);
        let (occupancy, full) = (outcome.occupancy(), outcome.share_of(8));
        assert!(occupancy >= 7.9, "jitter {jitter}: {occupancy} of 8");
        assert!(full >= 0.95, "jitter {jitter}: {full} are full");
        let interval = Duration::from_secs_f64(1.0 / 15.0);
        for camera in 0..8 {
            let wait = outcome.longest_wait(camera);
            assert!(wait <= interval + STEP, "jitter {jitter}, camera {camera}: {wait:?}");
        }
    }
}

#[test]
fn cameras_that_send_at_the_same_time_wait_only_for_each_other() {
    let together = (0..8).map(|camera| frames(f64::from(camera) * 0.0005, 15.0, 0.001, 60.0));
    let outcome = simulate(together.collect(), MINUTE);
    assert!(outcome.occupancy() >= 7.9, "{}", outcome.occupancy());
    let mut waits: Vec<Duration> = outcome.waits.concat();
    waits.sort_unstable();
    let p99 = waits[waits.len() * 99 / 100];
    assert!(p99 <= Duration::from_millis(8), "{p99:?}");
}

#[test]
fn a_camera_that_dies_delays_the_others_once() {
    let mut cameras = staggered(8, 15.0, 0.004);
    cameras[3].retain(|sent| *sent < MINUTE / 2);
    let outcome = simulate(cameras, MINUTE);
    let interval = Duration::from_secs_f64(1.0 / 15.0);
    for camera in [0, 1, 2, 4, 5, 6, 7] {
        assert!(outcome.longest_wait(camera) <= interval + STEP);
        // All of its frames, but for those of the last round.
        assert!(outcome.waits[camera].len() >= 15 * 60 - 2, "{}", outcome.waits[camera].len());
    }
    let rest = outcome.share_of(7);
    assert!(rest >= 0.45, "seven of eight go on together: {rest}");
}

#[test]
fn a_camera_that_bursts_costs_the_others_nothing() {
    let mut cameras = staggered(8, 15.0, 0.004);
    // It pauses for 0.4 s at each key frame, and then sends what it has.
    for sent in &mut cameras[0] {
        let second = sent.as_secs_f64();
        let pause = (second.fract() < 0.4).then(|| second.floor() + 0.4);
        *sent = Duration::from_secs_f64(pause.unwrap_or(second));
    }
    let outcome = simulate(cameras, MINUTE);
    let interval = Duration::from_secs_f64(1.0 / 15.0);
    for camera in 1..8 {
        assert!(outcome.waits[camera].len() >= 15 * 60 - 2, "{}", outcome.waits[camera].len());
        assert!(outcome.behind[camera] <= interval, "{:?}", outcome.behind[camera]);
    }
}

#[test]
fn a_fast_camera_is_not_slowed_down_by_slow_ones() {
    let mut cameras = staggered(4, 5.0, 0.002);
    cameras.push(frames(0.0, 30.0, 0.002, 60.0));
    let outcome = simulate(cameras, MINUTE);
    assert!(outcome.waits[4].len() >= 30 * 60 - 2, "{}", outcome.waits[4].len());
    assert!(outcome.behind[4] <= Duration::from_secs_f64(1.0 / 30.0), "{:?}", outcome.behind[4]);
}

#[test]
fn cameras_with_a_backlog_go_together_at_the_pace_of_their_work() {
    let all_at_once = vec![vec![Duration::ZERO; 5000]; 4];
    let outcome = simulate(all_at_once, Duration::from_secs(10));
    assert!(outcome.occupancy() >= 3.9, "{}", outcome.occupancy());
    // A call, and nothing but steps of the simulation beside it.
    let frames = outcome.waits.iter().map(Vec::len).sum::<usize>();
    assert!(frames >= 4 * 10_000 / 4, "{frames}");
}

#[test]
fn a_camera_alone_never_waits() {
    let outcome = simulate(vec![frames(0.0, 25.0, 0.003, 60.0)], MINUTE);
    assert_eq!(outcome.longest_wait(0), Duration::ZERO);
    assert_eq!(outcome.full, outcome.batches.len());
}

#[test]
fn no_more_go_into_one_call_than_may() {
    let (mut rounds, now) = (Rounds::new(2, Duration::from_secs(1)), Instant::now());
    for member in 0..5 {
        rounds.wait(member, now, Duration::ZERO);
    }
    assert_eq!(rounds.over(now), Some(Over::Now { full: true }));
    assert_eq!(rounds.close(), [0, 1]);
    assert_eq!(rounds.close(), [2, 3]);
    assert_eq!(rounds.close(), [4]);
    assert_eq!(rounds.over(now), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever pauses and bursts there are: every frame is called about, and none waits for longer
    /// than frames may, beyond the call that is under way.
    #[test]
    fn every_frame_has_its_call_in_time(
        pauses in proptest::collection::vec(proptest::collection::vec(0_u64..400, 5..60), 1..6),
    ) {
        let frames = |pauses: &Vec<u64>| {
            let mut sent = 0;
            let next = |pause: &u64| { sent += pause; Duration::from_millis(sent) };
            pauses.iter().map(next).collect::<Vec<Duration>>()
        };
        let outcome = simulate(pauses.iter().map(frames).collect(), Duration::from_secs(26));
        for (camera, pauses) in pauses.iter().enumerate() {
            prop_assert_eq!(outcome.waits[camera].len(), pauses.len());
            prop_assert!(outcome.longest_wait(camera) <= Duration::from_millis(100) + CALL + STEP);
        }
    }
}
