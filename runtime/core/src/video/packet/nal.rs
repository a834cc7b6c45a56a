//! What the NAL units of an access unit say together, of H.264 and H.265 alike.

use super::annexb::{self, Packaging};
use super::inspect::{Content, Inspection};

pub(super) fn inspect(data: &[u8], look: fn(&[u8]) -> Option<NalUnit>) -> Option<Inspection> {
    let packaging = annexb::packaging(data)?;
    let (mut recovery_point, mut has_parameter_sets) = (false, false);
    let (mut content, mut disposable, mut is_closed) = (None, false, false);
    let (mut needed_above, mut highest_sub_layer) = (None, None);
    annexb::for_each_unit(data, packaging, |unit| match look(unit) {
        Some(NalUnit::KeySlice { closed }) => {
            content = Some(Content::KeyPicture);
            is_closed = closed;
            false
        }
        Some(NalUnit::Slice { needed_by }) => {
            let key = recovery_point;
            match needed_by {
                Others::Any => {}
                Others::None => disposable = !key,
                Others::Above(layer) => needed_above = Some(layer),
            }
            content = Some(if key { Content::KeyPicture } else { Content::Picture });
            false
        }
        Some(NalUnit::RecoveryPoint) => {
            recovery_point = true;
            content.get_or_insert(Content::NoPicture);
            true
        }
        Some(NalUnit::ParameterSet { sub_layers }) => {
            has_parameter_sets = true;
            highest_sub_layer = highest_sub_layer.max(sub_layers);
            content.get_or_insert(Content::NoPicture);
            true
        }
        Some(NalUnit::Other) => {
            content.get_or_insert(Content::NoPicture);
            true
        }
        None => true,
    });
    let length_prefixed = packaging == Packaging::LengthPrefixed;
    content.map(|content| Inspection {
        length_prefixed,
        disposable,
        needed_above,
        highest_sub_layer,
        is_closed,
        has_parameter_sets,
        ..Inspection::of(content)
    })
}

/// What a NAL unit is, as far as it matters here.
pub(super) enum NalUnit {
    /// Of a key picture. `closed`: see [`Inspection::is_closed`].
    KeySlice {
        closed: bool,
    },
    Slice {
        needed_by: Others,
    },
    /// Every picture from here on comes out whole, though it is no IDR picture.
    RecoveryPoint,
    /// `sub_layers`: see [`Inspection::highest_sub_layer`].
    ParameterSet {
        sub_layers: Option<u8>,
    },
    Other,
}

/// Which other pictures may need one.
pub(super) enum Others {
    Any,
    None,
    /// Those of higher temporal sub-layers than this.
    Above(u8),
}
