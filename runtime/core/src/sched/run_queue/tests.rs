use super::*;

const MILLISECOND: u64 = 1_000_000;

/// Cameras that always have work, each of so many milliseconds; a millisecond at a time goes by
/// on each core. Nobody blocks: the order alone is under test.
struct Simulation {
    queue: RunQueue,
    cameras: Vec<SimulatedCamera>,
}

struct SimulatedCamera {
    contender: Arc<Contender>,
    work: u64,
    left: u64,
    done: u64,
    /// Milliseconds from one piece of work to the next; 0: always.
    period: u64,
    arrived: u64,
    longest_wait: u64,
}

impl Simulation {
    fn new(permits: usize) -> Self {
        Self { queue: RunQueue::new(permits), cameras: Vec::new() }
    }

    fn tenant(&mut self, pace: f64, cameras: usize, work: u64, period: u64) {
        let share = Share::new(pace);
        for _ in 0..cameras {
            let contender = Contender::new(&share);
            let (left, done, arrived, longest_wait) = (0, 0, 0, 0);
            self.cameras.push(SimulatedCamera {
                contender,
                work,
                left,
                done,
                period,
                arrived,
                longest_wait,
            });
        }
    }

    /// CPU milliseconds of each camera after so many milliseconds.
    fn run(&mut self, milliseconds: u64) -> Vec<u64> {
        for now in 0..milliseconds {
            let queue = &mut self.queue;
            for camera in &mut self.cameras {
                let is_due = camera.period == 0 || now % camera.period == 0;
                if camera.left == 0 && is_due {
                    (camera.left, camera.arrived) = (camera.work, now);
                    queue.arrive(&camera.contender);
                }
            }
            queue.give();
            // The operating system lets those who were served first go on.
            let permits = queue.permits;
            let on_a_core: Vec<_> = queue.running.iter().rev().take(permits).cloned().collect();
            for camera in &mut self.cameras {
                if !on_a_core.iter().any(|other| Arc::ptr_eq(other, &camera.contender)) {
                    continue;
                }
                camera.contender.charge(MILLISECOND);
                camera.done += 1;
                camera.left -= 1;
                if camera.left == 0 {
                    let took = now + 1 - camera.arrived;
                    camera.longest_wait = camera.longest_wait.max(took - camera.work);
                    queue.leave(&camera.contender);
                } else if queue.should_give_way(&camera.contender) {
                    queue.leave(&camera.contender);
                    queue.give();
                    queue.arrive(&camera.contender);
                }
            }
        }
        self.cameras.iter().map(|camera| camera.done).collect()
    }
}

#[test]
fn tenants_share_by_weight_however_many_cameras_they_have() {
    let mut simulation = Simulation::new(2);
    simulation.tenant(1.0, 30, 200, 0);
    simulation.tenant(1.0, 3, 7, 0);
    simulation.tenant(0.5, 5, 20, 0);
    let used = simulation.run(20_000);
    let (of_a, rest) = used.split_at(30);
    let (of_b, of_c) = rest.split_at(3);
    let sum = |used: &[u64]| used.iter().sum::<u64>();
    for (used, expected) in [(of_a, 10_000), (of_b, 10_000), (of_c, 20_000)] {
        assert!(sum(used).abs_diff(expected) < expected / 50, "{} of {expected}", sum(used));
        let alike = sum(used) / used.len() as u64;
        assert!(used.iter().all(|one| one.abs_diff(alike) <= 20), "{used:?}");
    }
}

#[test]
fn whoever_uses_less_than_its_share_hardly_waits_for_those_who_use_more() {
    let mut simulation = Simulation::new(2);
    simulation.tenant(1.0, 20, 200, 0);
    simulation.tenant(1.0, 1, 8, 40);
    let used = simulation.run(20_000);
    assert_eq!(used.last(), Some(&4000), "it has all that it wants");
    let modest = simulation.cameras.last().unwrap();
    assert!(modest.longest_wait <= 1, "{} ms", modest.longest_wait);
}

#[test]
fn cores_that_nobody_else_wants_are_for_whoever_wants_them() {
    let mut simulation = Simulation::new(2);
    simulation.tenant(1.0, 2, 10, 0);
    assert_eq!(simulation.run(1000), [1000, 1000]);
    assert_eq!(simulation.queue.pressure(), 0);
}
