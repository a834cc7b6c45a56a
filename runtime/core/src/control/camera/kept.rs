//! What a camera should be: as it stands on the state topic, and as its actor goes by it.

use crate::config::Id;
use crate::control::topics::Publisher;
use crate::control::wire::{Desired, ErrorCode, Origin, Refusal};

/// The desired state of one camera; without any, there is no such camera.
#[derive(Default)]
pub(crate) struct KeptState(Option<Desired>);

impl KeptState {
    /// What the camera should be.
    pub fn get(&self) -> Option<&Desired> {
        self.0.as_ref()
    }

    /// The camera should be this, which the state topic, or the configuration file, says already.
    pub fn resume(&mut self, desired: Desired) {
        self.0 = Some(desired);
    }

    /// There is no such camera.
    pub fn clear(&mut self) {
        self.0 = None;
    }

    /// Makes `desired` the camera's next generation, for good, by a command.
    pub async fn accept(
        &mut self,
        (id, publisher): (&Id, &Publisher),
        mut desired: Desired,
        origin: Option<&Origin>,
    ) -> Result<(), Refusal> {
        desired.generation = desired.generation.saturating_add(1);
        desired.commands = desired.commands.with(origin);
        self.keep((id, publisher), desired).await
    }

    /// Makes `desired` what the camera should be, for good.
    pub async fn keep(
        &mut self,
        (id, publisher): (&Id, &Publisher),
        desired: Desired,
    ) -> Result<(), Refusal> {
        let record = desired.to_json();
        let kept = publisher.put_state(id.as_str(), Some(&record), &desired.commands).await;
        // It is what runs, kept or not.
        self.0 = Some(desired);
        kept.map_err(|error| {
            ErrorCode::Failed.because(format!(
                "done, but the state topic did not take it ({error}): after a restart it is \
                 as before"
            ))
        })
    }
}
