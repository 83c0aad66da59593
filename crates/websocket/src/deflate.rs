//! permessage-deflate (RFC 7692): its parameters, and compressed messages.

use std::fmt::Write as _;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::error::{CloseCode, ConnectionError};
use crate::role::Role;

/// The name of the extension.
const NAME: &str = "permessage-deflate";
/// The end of each compressed message, which isn't sent (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Without a limit, a window has so many bits.
const BITS_MAX: u8 = 15;
/// The fewest bits of a window that the compressor keeps to.
const COMPRESSOR_BITS_MIN: u8 = 9;
/// Messages are decompressed in pieces of this size, so that a message that grows to any
/// length takes no memory here.
const PIECE_BYTES: usize = 16 << 10;

const NOT_DEFLATE: ConnectionError = ConnectionError {
    code: CloseCode::PROTOCOL,
    text: "a compressed message isn't DEFLATE",
};

/// The parameters of permessage-deflate, as a client offers them or as both sides agreed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deflate {
    /// The server compresses each message by itself.
    pub server_no_context_takeover: bool,
    /// The client compresses each message by itself.
    pub client_no_context_takeover: bool,
    /// The bits of the server's window.
    pub server_max_window_bits: Option<u8>,
    /// The bits of the client's window.
    pub client_max_window_bits: Option<u8>,
}

impl Deflate {
    /// What a client offers, from parameters as they are written in the header field:
    /// `server_no_context_takeover; client_max_window_bits=10`.
    pub fn offer(parameters: &str) -> Result<Self, &'static str> {
        let mut offer = Self::read(parameters.as_bytes(), true)?;
        // The window may always be limited by the server.
        let client_bits = offer.client_max_window_bits.get_or_insert(BITS_MAX);
        match *client_bits < COMPRESSOR_BITS_MIN {
            true => Err("client_max_window_bits is from 9 to 15 here"),
            false => Ok(offer),
        }
    }

    /// Reads the parameters behind the name of the extension. In an offer,
    /// `client_max_window_bits` may be without a value.
    fn read(parameters: &[u8], is_offer: bool) -> Result<Self, &'static str> {
        let mut read = Self::default();
        for parameter in parameters.split(|&byte| byte == b';') {
            let parameter = parameter.trim_ascii();
            let mut sides = parameter.splitn(2, |&byte| byte == b'=');
            let name = sides.next().unwrap_or_default().trim_ascii();
            let value = sides.next().map(<[u8]>::trim_ascii);
            let (flag, bits) = match &name.to_ascii_lowercase()[..] {
                b"" if value.is_none() => continue,
                b"server_no_context_takeover" => (Some(&mut read.server_no_context_takeover), None),
                b"client_no_context_takeover" => (Some(&mut read.client_no_context_takeover), None),
                b"server_max_window_bits" => (None, Some(&mut read.server_max_window_bits)),
                b"client_max_window_bits" => (None, Some(&mut read.client_max_window_bits)),
                _ => return Err("permessage-deflate has an unknown parameter"),
            };
            let is_client_bits = name.eq_ignore_ascii_case(b"client_max_window_bits");
            if flag.as_ref().is_some_and(|flag| **flag)
                || bits.as_ref().is_some_and(|bits| bits.is_some())
            {
                return Err("permessage-deflate has a parameter twice");
            }
            match (flag, bits, value) {
                (Some(flag), _, None) => *flag = true,
                (Some(_), _, Some(_)) => {
                    return Err("no_context_takeover of permessage-deflate has no value");
                }
                (None, Some(bits), None) if is_offer && is_client_bits => *bits = Some(BITS_MAX),
                (None, Some(bits), value) => *bits = Some(window_bits(value.unwrap_or_default())?),
                (None, None, _) => {}
            }
        }
        Ok(read)
    }

    /// Reads the server's answer to an offer: all its extensions.
    pub(crate) fn read_answer(
        extensions: &[u8],
        offer: Option<&Self>,
    ) -> Result<Self, &'static str> {
        let Some(offer) = offer else {
            return Err("it wants an extension that wasn't offered");
        };
        let mut parts = extensions.splitn(2, |&byte| byte == b';');
        let name = parts.next().unwrap_or_default().trim_ascii();
        if !name.eq_ignore_ascii_case(NAME.as_bytes()) || extensions.contains(&b',') {
            return Err("it wants an extension that wasn't offered");
        }
        let answer = Self::read(parts.next().unwrap_or_default(), false)?;
        if offer.server_no_context_takeover && !answer.server_no_context_takeover {
            return Err("it doesn't agree to server_no_context_takeover, which was asked for");
        }
        if let Some(asked) = offer.server_max_window_bits
            && answer
                .server_max_window_bits
                .is_none_or(|bits| bits > asked)
        {
            return Err("it doesn't agree to server_max_window_bits, which was asked for");
        }
        let offered = offer.client_max_window_bits.unwrap_or(BITS_MAX);
        match answer.client_max_window_bits {
            Some(bits) if bits > offered => {
                Err("its client_max_window_bits is above the offered one")
            }
            Some(bits) if bits < COMPRESSOR_BITS_MIN => Err(
                "it wants client_max_window_bits=8, and messages can't be compressed with \
                     fewer than 9",
            ),
            bits => Ok(Self {
                client_no_context_takeover: answer.client_no_context_takeover
                    || offer.client_no_context_takeover,
                client_max_window_bits: bits.or(offer.client_max_window_bits),
                ..answer
            }),
        }
    }

    /// On a server, the parameters to agree to: those of the first offer that can be kept.
    pub(crate) fn choose<'a>(offers: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut offers = offers.flat_map(|extensions| extensions.split(|&byte| byte == b','));
        offers.find_map(|offer| {
            let mut parts = offer.splitn(2, |&byte| byte == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            if !name.eq_ignore_ascii_case(NAME.as_bytes()) {
                return None;
            }
            let offer = Self::read(parts.next().unwrap_or_default(), true).ok()?;
            let server_bits = offer.server_max_window_bits.unwrap_or(BITS_MAX);
            (server_bits >= COMPRESSOR_BITS_MIN).then_some(Self {
                // Any window of the client's can be read.
                client_max_window_bits: None,
                ..offer
            })
        })
    }

    /// Writes the header field, with its line end.
    pub(crate) fn write(&self, out: &mut String) {
        out.extend(["Sec-WebSocket-Extensions: ", NAME]);
        let flags = [
            (self.server_no_context_takeover, "server"),
            (self.client_no_context_takeover, "client"),
        ];
        for (_, side) in flags.iter().filter(|(is_set, _)| *is_set) {
            out.extend(["; ", side, "_no_context_takeover"]);
        }
        // Writing to a text can't fail.
        if let Some(bits) = self.server_max_window_bits {
            let _ = write!(out, "; server_max_window_bits={bits}");
        }
        match self.client_max_window_bits {
            None => {}
            Some(BITS_MAX) => out.push_str("; client_max_window_bits"),
            Some(bits) => {
                let _ = write!(out, "; client_max_window_bits={bits}");
            }
        }
        out.push_str("\r\n");
    }
}

/// A number of bits, which may be in quotes.
fn window_bits(value: &[u8]) -> Result<u8, &'static str> {
    let value = match value {
        [b'"', value @ .., b'"'] => value,
        value => value,
    };
    let bits = match *value {
        [digit @ b'8'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'5'] => 10 + digit - b'0',
        _ => return Err("the window bits of permessage-deflate are a number from 8 to 15"),
    };
    Ok(bits)
}

/// One side's half: how its messages are compressed.
#[derive(Clone, Copy, Debug)]
struct Half {
    /// Each message is compressed by itself.
    alone: bool,
    bits: u8,
}

/// Compresses messages, and decompresses those of the peer. Memory is taken with the first
/// message of each direction.
#[derive(Debug)]
pub(crate) struct Packer {
    own: Half,
    peers: Half,
    compress: Option<Compress>,
    decompress: Option<Decompress>,
    packed: Vec<u8>,
    piece: Vec<u8>,
}

impl Packer {
    pub(crate) fn new(role: Role, agreed: &Deflate) -> Self {
        let client = Half {
            alone: agreed.client_no_context_takeover,
            bits: agreed.client_max_window_bits.unwrap_or(BITS_MAX),
        };
        let server = Half {
            alone: agreed.server_no_context_takeover,
            bits: agreed.server_max_window_bits.unwrap_or(BITS_MAX),
        };
        let (own, peers) = match role {
            Role::Client => (client, server),
            Role::Server => (server, client),
        };
        Self {
            own,
            peers,
            compress: None,
            decompress: None,
            packed: Vec::new(),
            piece: Vec::new(),
        }
    }

    /// Compresses a message.
    pub(crate) fn pack(&mut self, message: &[u8]) -> &[u8] {
        self.packed.clear();
        if message.is_empty() {
            // An empty block, without its tail (RFC 7692, 7.2.3.6).
            self.packed.push(0);
            return &self.packed;
        }
        let bits = self.own.bits.max(COMPRESSOR_BITS_MIN);
        let compress = self.compress.get_or_insert_with(|| {
            Compress::new_with_window_bits(Compression::default(), false, bits)
        });
        let before = compress.total_in();
        loop {
            // With less room, the end would be written more than once.
            self.packed.reserve(message.len() / 4 + 64);
            let taken = (compress.total_in() - before) as usize;
            // Compression into memory can't fail.
            let _status =
                compress.compress_vec(&message[taken..], &mut self.packed, FlushCompress::Sync);
            let is_all = compress.total_in() - before == message.len() as u64;
            if is_all && self.packed.len() < self.packed.capacity() {
                break;
            }
        }
        if self.packed.ends_with(&TAIL) {
            self.packed.truncate(self.packed.len() - TAIL.len());
        }
        if self.own.alone {
            compress.reset();
        }
        &self.packed
    }

    /// Decompresses the next bytes of a message, and hands over in pieces what they give.
    pub(crate) fn unpack(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), ConnectionError>,
    ) -> Result<(), ConnectionError> {
        let bits = self.peers.bits.max(COMPRESSOR_BITS_MIN);
        let decompress = self
            .decompress
            .get_or_insert_with(|| Decompress::new_with_window_bits(false, bits));
        self.piece.resize(PIECE_BYTES, 0);
        loop {
            let (in_before, out_before) = (decompress.total_in(), decompress.total_out());
            let result = decompress.decompress(bytes, &mut self.piece, FlushDecompress::None);
            let taken = (decompress.total_in() - in_before) as usize;
            let given = (decompress.total_out() - out_before) as usize;
            bytes = &bytes[taken..];
            // What comes before an error counts, however the bytes arrive.
            if given > 0 {
                take(&self.piece[..given])?;
            }
            let status = result.map_err(|_| NOT_DEFLATE)?;
            match status {
                // A peer may end its blocks with each message, and begin anew within the
                // same one (RFC 7692, 7.2.3.4).
                Status::StreamEnd => decompress.reset(false),
                _ if given < self.piece.len() && bytes.is_empty() => return Ok(()),
                _ if given == 0 && taken == 0 => return Err(NOT_DEFLATE),
                _ => {}
            }
            if status == Status::StreamEnd && bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Decompresses the end of a message.
    pub(crate) fn unpack_end(
        &mut self,
        take: impl FnMut(&[u8]) -> Result<(), ConnectionError>,
    ) -> Result<(), ConnectionError> {
        self.unpack(&TAIL, take)?;
        if self.peers.alone
            && let Some(decompress) = &mut self.decompress
        {
            decompress.reset(false);
        }
        Ok(())
    }
}
