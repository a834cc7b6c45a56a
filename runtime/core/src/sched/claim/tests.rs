//! Claims of real threads, and what the operating system makes of them.

use std::sync::atomic::AtomicUsize;

use super::*;

#[test]
fn threads_take_turns_and_none_is_forgotten() {
    let scheduler = Scheduler::with_cores(1);
    let shares = [Share::new(1.0), Share::new(1.0)];
    let taken = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let claim = CoreClaim::new(&scheduler, &shares[number % 2]);
            let taken = &taken;
            scope.spawn(move || {
                for _ in 0..200 {
                    let _permit = claim.take();
                    taken.fetch_add(1, Ordering::Relaxed);
                    claim.give_way(Instant::now()..Instant::now() + Duration::from_secs(1));
                }
            });
        }
    });
    assert_eq!(taken.into_inner(), 1600);
    let queue = scheduler.lock();
    assert_eq!((queue.running.len(), queue.waiting.len()), (0, 0));
}

#[cfg(target_os = "linux")]
mod demotion {
    use std::sync::mpsc;

    use super::*;
    use crate::sched::demotion::{LAST_MOMENTS, LONG, REMEMBERED, STARVED};

    const MILLISECOND: Duration = Duration::from_millis(1);
    /// One that goes on for longer than any test.
    const AGES: Duration = Duration::from_secs(3600);

    /// When calls have to end that have much time.
    fn later() -> Instant {
        Instant::now() + AGES
    }

    fn claim() -> Arc<CoreClaim> {
        CoreClaim::new(&Scheduler::with_cores(1), &Share::new(1.0))
    }

    /// Calls of a plugin have taken so long, and one begins, on a thread that is then blocked until
    /// `look` has ended. It is given what tells whether the thread is demoted.
    fn in_a_call(claim: &Arc<CoreClaim>, used: Duration, look: impl FnOnce(&dyn Fn() -> bool)) {
        if !sched_idle::is_allowed() {
            return;
        }
        let (tell, told) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let _permit = claim.take();
                claim.end_call(used);
                claim.begin_call(later());
                tell.send(nix::unistd::gettid()).unwrap();
                let _ = ended.recv();
                claim.end_call(used);
                assert!(!sched_idle::is_demoted(nix::unistd::gettid()));
            });
            let thread = told.recv().unwrap();
            look(&|| sched_idle::is_demoted(thread));
            drop(end);
        });
        assert!(claim.scheduler.watchdog.is_idle());
    }

    /// Nobody looks of itself.
    fn without_watchdog(claim: &CoreClaim) {
        claim.scheduler.watchdog.without_thread();
    }

    #[test]
    fn a_long_call_is_demoted_until_it_was_kept_from_a_core_for_long() {
        let claim = claim();
        without_watchdog(&claim);
        in_a_call(&claim, 3 * MILLISECOND, |is_demoted| {
            let began = Instant::now();
            assert!(is_demoted());
            assert!(claim.scheduler.watchdog.look_by_hand(began));
            assert!(is_demoted());
            claim.scheduler.watchdog.look_by_hand(began + STARVED);
            assert!(!is_demoted());
        });
        in_a_call(&claim, MILLISECOND, |is_demoted| assert!(is_demoted(), "it is remembered"));
        in_a_call(&self::claim(), MILLISECOND, |is_demoted| assert!(!is_demoted(), "it is short"));
    }

    #[test]
    fn whose_tenant_has_had_its_part_is_demoted_until_that_is_over() {
        let claim = claim();
        without_watchdog(&claim);
        claim.charge_helpers(AGES);
        in_a_call(&claim, MILLISECOND, |is_demoted| {
            let now = Instant::now();
            claim.scheduler.watchdog.look_by_hand(now + AGES / 2);
            assert!(is_demoted());
            claim.scheduler.watchdog.look_by_hand(now + AGES);
            assert!(!is_demoted());
        });
    }

    #[test]
    fn somebody_promotes_who_waits() {
        in_a_call(&claim(), 3 * MILLISECOND, |is_demoted| {
            let deadline = Instant::now() + Duration::from_secs(60);
            while is_demoted() {
                assert!(Instant::now() < deadline, "it stays demoted");
                std::thread::sleep(MILLISECOND);
            }
        });
    }

    #[test]
    fn a_call_that_turns_out_to_be_long_is_demoted_once() {
        let claim = claim();
        without_watchdog(&claim);
        let _permit = claim.take();
        claim.begin_call(later());
        claim.give_way(Instant::now()..later());
        assert!(!claim.is_demoted());
        let began = Instant::now().checked_sub(LONG).unwrap();
        claim.give_way(began..later());
        assert_eq!(claim.is_demoted(), sched_idle::is_allowed());
        claim.scheduler.watchdog.look_by_hand(Instant::now() + 2 * STARVED);
        claim.give_way(began..later());
        assert!(!claim.is_demoted(), "it was promoted");
        claim.end_call(LONG);
        claim.begin_call(later());
        claim.give_way(began..later());
        assert_eq!(claim.is_demoted(), sched_idle::is_allowed(), "so does the next one");
    }

    #[test]
    fn a_long_call_is_not_demoted_shortly_before_it_has_to_end() {
        let claim = claim();
        without_watchdog(&claim);
        let _permit = claim.take();
        let began = Instant::now().checked_sub(LONG).unwrap();
        claim.begin_call(later());
        claim.give_way(began..later());
        assert_eq!(claim.is_demoted(), sched_idle::is_allowed());
        claim.give_way(began..Instant::now() + LAST_MOMENTS);
        assert!(!claim.is_demoted(), "it goes on");
        claim.end_call(2 * LONG);
        claim.begin_call(Instant::now() + LAST_MOMENTS);
        assert!(!claim.is_demoted(), "it begins with little time");
        claim.charge_helpers(AGES);
        claim.give_way(began..Instant::now() + LAST_MOMENTS);
        assert_eq!(claim.is_demoted(), sched_idle::is_allowed(), "its tenant has had its part");
    }

    #[test]
    fn long_calls_are_forgotten_after_some_short_ones() {
        let claim = claim();
        let _permit = claim.take();
        let is_long_after = |short_ones| {
            claim.end_call(2 * LONG);
            (0..short_ones).for_each(|_| claim.end_call(MILLISECOND));
            claim.begin_call(later());
            claim.is_demoted()
        };
        assert_eq!(is_long_after(REMEMBERED / 2), sched_idle::is_allowed());
        assert!(!is_long_after(REMEMBERED));
    }
}

mod decode_threads {
    use proptest::prelude::*;

    use super::*;

    fn cameras(cores: usize, tenants: &[usize]) -> Vec<Arc<CoreClaim>> {
        let scheduler = Scheduler::with_cores(cores);
        let of_tenant = |&count: &usize| {
            let share = Share::new(1.0);
            (0..count).map(|_| CoreClaim::new(&scheduler, &share)).collect::<Vec<_>>()
        };
        let claims: Vec<_> = tenants.iter().flat_map(of_tenant).collect();
        // Twice: between two of the first, another second may begin.
        claims.iter().chain(&claims).for_each(|claim| drop(claim.take()));
        claims
    }

    #[test]
    fn one_camera_may_use_all_cores_and_many_have_one_each() {
        let one = &cameras(4, &[1])[0];
        one.tell_load(1.0);
        assert_eq!(one.room_for_threads(), 4);
        let many = cameras(4, &[8]);
        many.iter().for_each(|claim| claim.tell_load(0.5));
        assert!(many.iter().all(|claim| claim.room_for_threads() == 1));
    }

    #[test]
    fn threads_are_given_back_when_others_need_the_cores() {
        let [busy, other] = &cameras(2, &[2])[..] else { panic!("two") };
        busy.tell_load(1.0);
        assert_eq!((busy.room_for_threads(), busy.reserve(2)), (2, 2));
        busy.tell_load(2.0);
        other.tell_load(0.4);
        assert_eq!(busy.room_for_threads(), 2, "not for so little");
        assert_eq!(other.room_for_threads(), 1);
        other.tell_load(0.6);
        assert_eq!(busy.room_for_threads(), 1);
        assert_eq!(busy.reserve(1), 1);
        busy.tell_load(1.0);
        other.tell_load(0.4);
        assert_eq!(busy.room_for_threads(), 1, "nor for so little");
    }

    #[test]
    fn a_tenant_s_part_is_its_own_though_others_use_more_than_theirs() {
        let [modest, greedy @ ..] = &cameras(4, &[1, 6])[..] else { panic!("seven") };
        modest.tell_load(1.0);
        greedy.iter().for_each(|claim| claim.tell_load(0.5));
        assert_eq!(modest.room_for_threads(), 2);
        assert!(modest.is_in_part(2) && !modest.is_in_part(3));
        assert!(greedy.iter().all(|claim| claim.room_for_threads() == 1));
    }

    #[test]
    fn a_camera_that_ends_leaves_its_cores_to_others() {
        let mut claims = cameras(4, &[2]);
        let (stays, ends) = (claims.remove(0), claims.remove(0));
        ends.tell_load(3.0);
        assert_eq!(ends.reserve(4), 4);
        stays.tell_load(1.0);
        assert_eq!((stays.room_for_threads(), stays.reserve(4)), (1, 1));
        drop(ends);
        assert_eq!((stays.room_for_threads(), stays.reserve(4)), (4, 4));
    }

    proptest! {
        /// Whoever asks for whatever and in whichever order, there are never more than cores.
        #[test]
        fn all_together_have_fewer_helpers_than_cores(
            cores in 1..9_usize,
            asked in proptest::collection::vec((0..5_usize, 0..20_usize), 1..100),
        ) {
            let claims = cameras(cores, &[2, 3]);
            let mut has = [1; 5];
            for (camera, threads) in asked {
                has[camera] = claims[camera].reserve(threads);
                prop_assert!(has[camera] <= threads.max(1));
                prop_assert!(has.iter().map(|threads| threads - 1).sum::<usize>() < cores);
            }
            claims.iter().for_each(|claim| { claim.reserve(1); });
            prop_assert_eq!(claims[0].reserve(cores), cores);
        }
    }
}
