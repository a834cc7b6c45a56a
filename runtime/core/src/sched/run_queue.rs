//! Who may use a core: tenants by their weights, and within a tenant its cameras alike.
//!
//! Camera threads are more than cores, and the operating system would share the cores between
//! *threads*: a tenant with a hundred busy cameras would get a hundred times the share of one with
//! a single camera. So a camera takes a permit before it decodes and analyses a record, and there
//! are as many permits as cores. While some are free nobody waits. When they are short, a permit
//! goes to the tenant that has used least for its weight, and among its cameras to the one that
//! has.
//!
//! This is start-time fair queueing (Goyal, Vin, Cheng, 1996) with CPU time as the service: each
//! tenant has a *virtual time*, its CPU time divided by its weight (relative to the average, so
//! that times mean the same whatever numbers people choose), and whoever was idle is lifted to the
//! virtual time of the others, less a small credit, so that nobody saves up. Thanks to the credit,
//! whoever uses less than its share is served at once: beyond the number of permits if need be,
//! until one of those who use more gives way. A plugin gives way in the middle of a call, within a
//! millisecond if others waited when it began, or its tenant had used more than its share, and else
//! within some ten; a decoder when its frame is done.
//!
//! This file is the order alone: it wakes nobody and reads no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::Duration;

use parking_lot::Mutex;

use super::decode_threads::Load;
use super::fair_share::FairShare;

/// How far behind the others' virtual time somebody who was idle begins.
const CREDIT: u64 = 20_000_000;
/// Whoever is behind by so much is served although all permits are taken.
const URGENT: u64 = 10_000_000;
/// Equals relieve each other this often.
const SLICE: u64 = 5_000_000;
/// A safety net: whoever is given a permit is woken.
const PARK_TIMEOUT: Duration = Duration::from_millis(100);

/// A tenant's part.
#[derive(Debug)]
pub(crate) struct Share {
    /// How fast its time goes by: 1 for a tenant of average weight, 2 for one of half of that.
    pace: f64,
    /// Nanoseconds of CPU time at this pace.
    used: AtomicU64,
    /// The virtual time among its cameras.
    floor: AtomicU64,
    /// What it used of its part of the cores.
    pub(super) fair: Arc<FairShare>,
    /// How many cores its cameras could keep busy.
    pub(super) load: Load,
}

/// One thread that competes for permits.
#[derive(Debug)]
pub(super) struct Contender {
    pub share: Arc<Share>,
    /// Nanoseconds of CPU time.
    used: AtomicU64,
    is_running: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

/// Those who have a permit, and those who wait for one.
pub(super) struct RunQueue {
    pub permits: usize,
    /// The virtual time of all: that of the tenant which was served last.
    floor: u64,
    pub running: Vec<Arc<Contender>>,
    pub waiting: Vec<Arc<Contender>>,
}

impl Share {
    pub fn new(pace: f64) -> Arc<Self> {
        let (used, floor) = (AtomicU64::new(0), AtomicU64::new(0));
        let (fair, load) = (Arc::default(), Load::default());
        Arc::new(Self { pace, used, floor, fair, load })
    }

    /// Its weight, relative to the average.
    pub(super) fn weight(&self) -> f64 {
        self.pace.recip()
    }
}

impl Contender {
    pub fn new(share: &Arc<Share>) -> Arc<Self> {
        let (used, is_running) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { share: Arc::clone(share), used, is_running, thread: Mutex::default() })
    }

    /// Whether it has a permit, as its own thread sees it.
    pub fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Relaxed)
    }

    /// It has no permit any more.
    pub fn stop(&self) {
        self.is_running.store(false, Ordering::Relaxed);
    }

    /// It has a permit: wakes its thread.
    pub fn run(&self) {
        self.is_running.store(true, Ordering::Release);
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }

    /// Blocks the calling thread, which is its own, until it has a permit.
    pub fn wait(&self) {
        if self.is_running.load(Ordering::Acquire) {
            return;
        }
        *self.thread.lock() = Some(std::thread::current());
        while !self.is_running.load(Ordering::Acquire) {
            std::thread::park_timeout(PARK_TIMEOUT);
        }
    }

    /// It used so many nanoseconds of CPU time. How many those are at its tenant's pace.
    pub fn charge(&self, spent: u64) -> u64 {
        self.used.fetch_add(spent, Ordering::Relaxed);
        let at_pace = (spent as f64 * self.share.pace).ceil() as u64;
        self.share.used.fetch_add(at_pace, Ordering::Relaxed);
        at_pace
    }

    /// Whose turn it is: the lowest has the best claim.
    fn claim(&self) -> (u64, u64) {
        (self.share.used.load(Ordering::Relaxed), self.used.load(Ordering::Relaxed))
    }

    /// Whether this one should be served before `other` by more than `margin`.
    fn is_before(&self, other: &Self, margin: u64) -> bool {
        let ((of_tenant, own), (of_others, others)) = (self.claim(), other.claim());
        if Arc::ptr_eq(&self.share, &other.share) {
            own + margin < others
        } else {
            of_tenant + margin < of_others
        }
    }
}

impl RunQueue {
    pub fn new(permits: usize) -> Self {
        Self { permits, floor: 0, running: Vec::new(), waiting: Vec::new() }
    }

    pub fn arrive(&mut self, contender: &Arc<Contender>) {
        let share = &contender.share;
        share.used.fetch_max(self.floor.saturating_sub(CREDIT), Ordering::Relaxed);
        let floor = share.floor.load(Ordering::Relaxed);
        contender.used.fetch_max(floor.saturating_sub(CREDIT), Ordering::Relaxed);
        self.waiting.push(Arc::clone(contender));
    }

    /// How many wait, or run beyond the number of permits.
    pub fn pressure(&self) -> usize {
        self.waiting.len() + self.running.len().saturating_sub(self.permits)
    }

    pub fn leave(&mut self, contender: &Arc<Contender>) {
        self.running.retain(|other| !Arc::ptr_eq(other, contender));
    }

    /// Gives permits to those with the best claim, as long as there are any.
    pub fn give(&mut self) -> Vec<Arc<Contender>> {
        let mut given = Vec::new();
        loop {
            let best = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| waiting.claim());
            let Some((place, contender)) = best else { return given };
            if !self.has_permit_for(contender) {
                return given;
            }
            let (of_tenant, own) = contender.claim();
            self.floor = self.floor.max(of_tenant);
            contender.share.floor.fetch_max(own, Ordering::Relaxed);
            let contender = self.waiting.swap_remove(place);
            self.running.push(Arc::clone(&contender));
            given.push(contender);
        }
    }

    fn has_permit_for(&self, contender: &Contender) -> bool {
        let is_urgent = || self.running.iter().any(|other| contender.is_before(other, URGENT));
        self.running.len() < self.permits || (self.running.len() < 2 * self.permits && is_urgent())
    }

    pub fn should_give_way(&self, contender: &Contender) -> bool {
        if self.running.len() > self.permits {
            // Somebody urgent was served: the last of those who run makes room.
            return !self.running.iter().any(|other| contender.is_before(other, 0));
        }
        self.waiting.iter().any(|other| other.is_before(contender, SLICE))
    }
}

#[cfg(test)]
mod tests;
