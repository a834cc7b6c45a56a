//! A shared instance with the cameras around it: who waits, who makes the call, and who gets the
//! answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::rounds::{Member, Over, Rounds};
use crate::plugin::instance::frame_call::Answer;
use crate::plugin::instance::supervised::SupervisedInstance;
use crate::plugin::sandbox::{BatchCounts, Blame, CallEnd, CallFailure, LentFrame, Meter, failed};
use crate::policy::Limits;
use crate::record::FailReason;
use crate::sched::CoreClaim;

/// A safety net: whoever waits is woken when a call ends.
const PARK_TIMEOUT: Duration = Duration::from_millis(100);

/// A shared instance, and the cameras around it.
pub(crate) struct SharedInstance {
    /// A panic in a call leaves it without its instance, which is replaced before the next.
    instance: Mutex<SupervisedInstance>,
    state: Mutex<Waiters>,
    /// Something has changed for those who wait.
    changed: Condvar,
    counts: Arc<BatchCounts>,
    meter: Arc<Meter>,
    limits: Limits,
}

struct Waiters {
    rounds: Rounds,
    last_member: Member,
    /// Frames that no call was made about yet, in the order in which they came.
    frames: Vec<PendingFrame>,
    /// What came of those that a call was made about, until their cameras take it.
    answers: Vec<(Member, Answered)>,
    /// A call is under way.
    is_busy: bool,
}

/// A frame that waits for a call.
pub(crate) struct PendingFrame {
    pub member: Member,
    pub frame: LentFrame,
    pub since: Instant,
    /// It is not called about together with others.
    pub alone: bool,
}

/// What came of one frame.
pub(crate) struct Answered {
    pub result: Result<Answer, (CallFailure, Blame)>,
    /// Given back, unless the instance was lost.
    pub frame: Option<LentFrame>,
    pub end: CallEnd,
    /// Bytes of the instance's linear memory.
    pub memory: u64,
    pub waited: Duration,
}

/// What a camera that shares an instance does next.
enum Next {
    Take(Box<Answered>),
    /// Make a call about these frames; whether nobody is left out.
    Lead(Vec<PendingFrame>, bool),
    Wait,
}

impl SharedInstance {
    pub fn around(instance: SupervisedInstance, meter: Arc<Meter>, limits: Limits) -> Self {
        let state = Waiters {
            rounds: Rounds::new(limits.batch_frames(), limits.batch_wait()),
            last_member: 0,
            frames: Vec::new(),
            answers: Vec::new(),
            is_busy: false,
        };
        Self {
            instance: Mutex::new(instance),
            state: Mutex::new(state),
            changed: Condvar::new(),
            counts: Arc::default(),
            meter,
            limits,
        }
    }

    /// Its limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What it uses and tells.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Its calls.
    pub fn counts(&self) -> &Arc<BatchCounts> {
        &self.counts
    }

    /// A camera comes to it.
    pub fn join(&self) -> Member {
        let mut state = self.state.lock();
        state.last_member += 1;
        let member = state.last_member;
        state.rounds.join(member);
        member
    }

    /// A camera leaves it.
    pub fn leave(&self, member: Member) {
        let mut state = self.state.lock();
        state.rounds.leave(member);
        // Of a thread that panicked there may be something left.
        state.frames.retain(|waiting| waiting.member != member);
        state.answers.retain(|(whose, _)| *whose != member);
        drop(state);
        self.changed.notify_all();
    }

    /// Has a frame wait for a call, on which `busy` was spent before, and waits for what comes of
    /// it.
    pub fn answer(
        &self,
        waiting: PendingFrame,
        busy: Duration,
        claim: &Arc<CoreClaim>,
    ) -> Answered {
        let member = waiting.member;
        {
            let mut state = self.state.lock();
            if waiting.alone {
                state.rounds.pass(member, waiting.since);
            } else {
                state.rounds.wait(member, waiting.since, busy);
            }
            state.frames.push(waiting);
        }
        loop {
            let next = self.state.lock().next(member, Instant::now());
            match next {
                Next::Take(answered) => return *answered,
                Next::Lead(frames, full) => self.lead(frames, full, claim),
                Next::Wait => claim.leave_while(|| self.wait_for_work(member)),
            }
        }
    }

    /// Waits until there is something to do for this camera, which then looks again: until it has a
    /// core, somebody else may have done it.
    fn wait_for_work(&self, member: Member) {
        let mut state = self.state.lock();
        while let Some(longest) = state.nothing_to_do(member, Instant::now()) {
            self.changed.wait_for(&mut state, longest.min(PARK_TIMEOUT));
        }
    }

    /// Makes a call.
    fn lead(&self, waiting: Vec<PendingFrame>, full: bool, claim: &Arc<CoreClaim>) {
        let begin = Instant::now();
        let members: Vec<Member> = waiting.iter().map(|waiting| waiting.member).collect();
        let waits: Vec<Duration> = waiting.iter().map(|waiting| begin - waiting.since).collect();
        self.counts.add(&waits, full);
        // Its answers come even if this thread panics.
        let mut call =
            CallUnderway { shared: self, members, waits, answers: Vec::new(), took: None };
        let frames = waiting.into_iter().map(|waiting| waiting.frame).collect();
        let called = self.call(frames, claim, begin);
        call.took = Some(begin.elapsed());
        call.answers = called;
    }

    fn call(
        &self,
        frames: Vec<LentFrame>,
        claim: &Arc<CoreClaim>,
        begin: Instant,
    ) -> Vec<Answered> {
        let count = frames.len();
        let mut instance = self.instance.lock();
        let mut given_back = Vec::with_capacity(count);
        let give_back = |frame| given_back.push(frame);
        let mut frames = frames;
        let (answers, end) = match frames.pop_if(|_| count == 1) {
            Some(frame) => {
                let called = instance.call_with(frame, claim, begin, give_back);
                (called.answer.map(|answer| vec![answer]), called.end)
            }
            None => {
                let called = instance.call_with_all(frames, claim, begin, give_back);
                (called.answer, called.end)
            }
        };
        let memory = instance.memory();
        // Another one takes the place of a lost one before the next frame comes; what keeps it from
        // starting is said with that.
        let _ = instance.revive(Some(claim));
        drop(instance);
        let used = end.used / u32::try_from(count).unwrap_or(u32::MAX);
        let answered = |result, frame| Answered {
            result,
            frame,
            end: CallEnd { at: end.at, used },
            memory,
            waited: Duration::ZERO,
        };
        let mut given_back = given_back.into_iter();
        match answers {
            Ok(answers) => {
                answers.into_iter().map(|answer| answered(Ok(answer), given_back.next())).collect()
            }
            Err(failure) => {
                let blame = if count > 1 { Blame::Unattributed } else { Blame::Counted };
                let fail = |number| {
                    let restarted = failure.restarted && number == 0;
                    let failure = CallFailure { restarted, ..failure.clone() };
                    answered(Err((failure, blame)), given_back.next())
                };
                (0..count).map(fail).collect()
            }
        }
    }
}

/// A call under way: when it is over, in whatever way, those who wait for it are told.
struct CallUnderway<'s> {
    shared: &'s SharedInstance,
    members: Vec<Member>,
    waits: Vec<Duration>,
    answers: Vec<Answered>,
    took: Option<Duration>,
}

impl Drop for CallUnderway<'_> {
    fn drop(&mut self) {
        let mut answers = std::mem::take(&mut self.answers).into_iter();
        let mut state = self.shared.state.lock();
        for (member, waited) in self.members.iter().zip(&self.waits) {
            let answered = answers.next().unwrap_or_else(Answered::of_a_panic);
            state.answers.push((*member, Answered { waited: *waited, ..answered }));
        }
        if let Some(took) = self.took {
            state.rounds.called(took);
        }
        state.is_busy = false;
        drop(state);
        self.shared.changed.notify_all();
    }
}

impl Answered {
    fn of_a_panic() -> Self {
        let failure = failed(FailReason::PluginTrap, "the thread that called panicked".to_owned());
        Self {
            result: Err((failure, Blame::Unattributed)),
            frame: None,
            end: CallEnd::immediate(Instant::now()),
            memory: 0,
            waited: Duration::ZERO,
        }
    }
}

impl Waiters {
    /// For how long there is nothing to do for this camera, if nothing changes.
    fn nothing_to_do(&self, member: Member, now: Instant) -> Option<Duration> {
        if self.answers.iter().any(|(whose, _)| *whose == member) {
            return None;
        }
        if self.is_busy {
            return Some(PARK_TIMEOUT);
        }
        if self.frames.iter().any(|waiting| waiting.alone) {
            return None;
        }
        match self.rounds.over(now) {
            Some(Over::Now { .. }) => None,
            Some(Over::At(then)) => Some(then.saturating_duration_since(now)),
            // Its frame was taken, and what came of it is on its way.
            None => Some(PARK_TIMEOUT),
        }
    }

    fn next(&mut self, member: Member, now: Instant) -> Next {
        if let Some(position) = self.answers.iter().position(|(whose, _)| *whose == member) {
            let (_, answered) = self.answers.swap_remove(position);
            return Next::Take(Box::new(answered));
        }
        if self.nothing_to_do(member, now).is_some() {
            return Next::Wait;
        }
        self.is_busy = true;
        if let Some(position) = self.frames.iter().position(|waiting| waiting.alone) {
            return Next::Lead(vec![self.frames.remove(position)], false);
        }
        let full = self.rounds.over(now) == Some(Over::Now { full: true });
        let members = self.rounds.close();
        let of_round = |waiting: &mut PendingFrame| members.contains(&waiting.member);
        Next::Lead(self.frames.extract_if(.., of_round).collect(), full)
    }
}
