//! What changes while a camera runs: carried out between two records, which never notice.

use std::sync::Arc;

use super::commands::{CameraInput, Change, Command};
use super::error::CameraError;
use super::pipeline::Pipeline;
use super::stages::intake::splitter;
use crate::policy::BreakerSettings;

impl Pipeline<'_> {
    /// Does as told. When the records come from somewhere else from now on: from where.
    pub(crate) fn apply(&mut self, command: Command) -> Result<Option<CameraInput>, CameraError> {
        match command {
            Command::Swap(swap) => self.path.analysis.begin(swap),
            Command::Pause(is_paused, done) => {
                self.set_paused(is_paused);
                let _ = done.send(());
            }
            Command::Change(change) => return self.change(change),
        }
        Ok(None)
    }

    fn set_paused(&mut self, is_paused: bool) {
        let was_paused = self.path.analysis.is_paused();
        if is_paused && !was_paused {
            self.end_stream();
        }
        if was_paused && !is_paused {
            self.path.admission.note_gap();
        }
        self.path.analysis.set_paused(is_paused);
    }

    fn change(
        &mut self,
        Change { spec, input, done }: Change,
    ) -> Result<Option<CameraInput>, CameraError> {
        let old = Arc::clone(&self.spec);
        if !old.decodes_as(&spec) || old.framing != spec.framing {
            match splitter(&spec) {
                Ok(splitter) => {
                    self.end_stream();
                    self.intake.set_stream(spec.codec, splitter);
                    self.path.decode.replace(&spec);
                    self.path.admission.begin_stream();
                }
                Err(error) => {
                    let _ = done.send(Err(error));
                    return Ok(None);
                }
            }
        }
        if input.is_some() {
            self.end_stream();
        }
        if input.is_some() || old.produce_topic != spec.produce_topic {
            // Acknowledgements of two topics come in any order, and offsets are committed by them.
            self.emit_settled()?;
            self.output.finish()?;
        }
        self.output.set_spec(&spec);
        if old.rate != spec.rate {
            self.path.analysis.set_rate(spec.rate);
            self.path.admission.set_rate(spec.rate);
        }
        self.intake.set_max_age(spec.max_age);
        self.path.admission.set_lag_limits(&spec);
        self.path.analysis.set_breakers(spec.breaker.within(BreakerSettings::default()));
        self.spec = spec;
        let _ = done.send(Ok(()));
        Ok(input)
    }
}
