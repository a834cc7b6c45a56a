//! What can be said of an access unit without decoding it.

/// What an access unit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A picture that needs no other; decoding can begin here.
    KeyPicture,
    /// A picture from which decoding can begin, though it and some behind it come out right only if
    /// those before it are there: gradual refresh.
    RefreshPoint {
        /// Pictures are right from this [`Inspection::position`] on.
        right_from: i64,
    },
    /// A picture that needs others before it.
    Picture,
    /// A part of the picture before it that is an access unit of its own: its second field. The
    /// decoder must see it, and no picture comes of it.
    Continuation,
    /// Something the decoder must see, but no picture comes of it: parameter sets, a hidden
    /// frame.
    NoPicture,
    /// A picture, as far as can be said of a codec that is not looked into.
    Unknown,
}

/// What of a picture is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// A picture that it refers to did not come.
    Reference,
    /// A part of itself.
    Slice,
}

/// What [`Inspector::inspect`](super::Inspector::inspect) finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspection {
    /// What the access unit holds.
    pub content: Content,
    /// The lengths before its NAL units must become start codes for the decoder.
    pub length_prefixed: bool,
    /// It is known that no other picture needs this one.
    pub disposable: bool,
    /// Of H.265: pictures of higher temporal sub-layers than this may need this one, and no others.
    pub needed_above: Option<u8>,
    /// Of H.265: by a sequence parameter set in here, no temporal sub-layer is higher than this.
    pub highest_sub_layer: Option<u8>,
    /// It is known that nothing goes across: no picture from here on needs one before it, and none
    /// before it is shown later. Decoders can change places here.
    pub is_closed: bool,
    /// Where its picture stands in the stream, in what [`Content::RefreshPoint`] counts in: frames
    /// in decoding order, or places in output order.
    pub position: Option<i64>,
    /// Something that its picture needs is not there, so that the picture can't come out right.
    pub lacks: Option<Lack>,
    /// It may come out right only if decoding began before the latest key picture, behind which it
    /// came though it is shown before it.
    pub is_leading: bool,
    /// Pixels of its picture, as they are coded, width times height; of codecs and pictures whose
    /// headers are not looked at for that there is none.
    pub pixels: Option<u64>,
    /// At least so many pictures come before one that is shown before them, by what has come so
    /// far.
    /// `None`: the decoder learns it from the parameter sets, or there are none.
    pub reorders: Option<u8>,
    /// So many pictures come out of it before its own: those of lower spatial layers.
    pub superseded: u32,
    /// It is one field; the other comes as a [`Content::Continuation`].
    pub is_first_field: bool,
    /// It is the access unit before it once more.
    pub is_repeated: bool,
    /// Where it is damaged, libavcodec's decoder may spoil what is decoded next: it leaves
    /// coefficients of a macroblock of H.264's CAVLC behind for the next one, of any picture.
    pub damage_lingers: bool,
    /// More than one picture is in it, of which all but the first belong to no record. The two
    /// fields of a frame are one picture.
    pub has_several_pictures: bool,
    /// It holds parameter sets, which pictures after it may need, too; see
    /// [`ParameterSets`](crate::video::packet::parameter_sets::ParameterSets).
    pub has_parameter_sets: bool,
}

impl Inspection {
    /// An access unit of which nothing else is known.
    #[must_use]
    pub fn of(content: Content) -> Self {
        Self {
            content,
            length_prefixed: false,
            disposable: false,
            needed_above: None,
            highest_sub_layer: None,
            is_closed: false,
            position: None,
            lacks: None,
            is_leading: false,
            pixels: None,
            reorders: None,
            superseded: 0,
            is_first_field: false,
            is_repeated: false,
            damage_lingers: false,
            has_several_pictures: false,
            has_parameter_sets: false,
        }
    }

    /// What is known of it in a stream whose temporal sub-layers are these.
    #[must_use]
    pub fn among(self, highest_sub_layer: Option<u8>) -> Self {
        let nobody_is_above = self.needed_above.is_some() && self.needed_above == highest_sub_layer;
        Self { disposable: self.disposable || nobody_is_above, ..self }
    }
}
