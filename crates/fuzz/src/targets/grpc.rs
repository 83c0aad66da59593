//! What gRPC servers and clients send: messages, statuses, and descriptors by reflection.

use encarno_grpc::reflection::{Question, Told};
use encarno_grpc::wire::fields;
use encarno_grpc::{
    Reader, Status, Taken, gunzip, messages, percent_decoded, percent_encoded, write,
};

use super::{choice, text};

const MESSAGE_BYTES_MAX: u32 = 1000;
const TEXT_BYTES_MAX: usize = 200;

/// Messages are the same, however their bytes are divided.
pub(crate) fn bodies(bytes: &[u8]) {
    let (size, bytes) = choice(bytes);
    let take = |size: usize| {
        let (mut reader, mut all) = (Reader::default(), Taken::default());
        for piece in bytes.chunks(size) {
            match reader.take(piece, MESSAGE_BYTES_MAX, true) {
                Ok(taken) => {
                    all.begun += taken.begun;
                    all.whole += taken.whole;
                }
                Err(error) => return Err(error),
            }
        }
        Ok((all, reader.is_between()))
    };
    let whole = take(usize::MAX);
    assert_eq!(whole, take(size.max(1)));
    let Ok((taken, is_between)) = whole else {
        return;
    };
    assert_eq!(taken.begun, taken.whole + u64::from(!is_between));
    let mut again = Vec::new();
    let mut count = 0;
    for message in messages(bytes) {
        write(message.bytes, message.is_compressed, &mut again);
        count += 1;
        if message.is_compressed
            && let Ok(unpacked) = gunzip(message.bytes, MESSAGE_BYTES_MAX as usize)
        {
            assert!(unpacked.len() <= MESSAGE_BYTES_MAX as usize);
        }
    }
    assert_eq!(count, taken.whole);
    assert!(bytes.starts_with(&again));
}

/// Fields, statuses and reflection.
pub(crate) fn told(bytes: &[u8]) {
    let found = fields(bytes).count();
    assert!(found <= bytes.len());
    if let Ok(Some(told)) = Told::of_bytes(bytes) {
        assert_eq!(Told::of_bytes(&told.to_bytes(bytes)), Ok(Some(told)));
    }
    if let Ok(Some(question)) = Question::of_bytes(bytes) {
        assert_eq!(Question::of_bytes(&question.to_bytes()), Ok(Some(question)));
    }
    let shown = percent_decoded(bytes, TEXT_BYTES_MAX);
    assert!(shown.chars().count() <= TEXT_BYTES_MAX + 1);
    assert!(!shown.chars().any(char::is_control));
    if let Some(text) = text(bytes).filter(|text| !text.chars().any(char::is_control)) {
        assert_eq!(
            percent_decoded(percent_encoded(text).as_bytes(), usize::MAX),
            text
        );
    }
    let _known = Status::of_text(bytes).map(Status::http);
}
