//! The same record for each hit, with the number of the hit in it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use encarno_record::template::{NUMBER, fill_request};
use encarno_record::{Payload, Record, VariableId, Variables};

use super::Next;
use crate::script::{Compiler, Planned};
use crate::workers::Share;

/// The place of the number among the variables.
const PLACE: VariableId = VariableId(0);

/// A record whose payload has the text `${n}`. Hit i of loop k of n loops has the number
/// k + i·n, so that each number is there once.
#[derive(Debug)]
pub(crate) struct Numbered {
    record: Planned,
    template: Bytes,
    next: u64,
    step: u64,
    left: u64,
    replaces: [(Box<[u8]>, VariableId); 1],
    variables: Variables,
    buffer: BytesMut,
    lengths: Vec<usize>,
    scripts: Arc<Compiler>,
    broken: Option<String>,
}

impl Numbered {
    /// The records of one loop. An error says why no hit can be made of them.
    pub(crate) fn new(
        record: Planned,
        template: Bytes,
        share: Share,
        left: u64,
        scripts: &Arc<Compiler>,
    ) -> Result<Self, String> {
        let mut numbered = Self {
            record,
            template,
            next: share.number as u64,
            step: share.count as u64,
            left,
            replaces: [(NUMBER.into(), PLACE)],
            variables: Variables::default(),
            buffer: BytesMut::new(),
            lengths: Vec::new(),
            scripts: Arc::clone(scripts),
            broken: None,
        };
        numbered.payload()?;
        Ok(numbered)
    }

    /// The payload with the next number, as it is sent.
    fn payload(&mut self) -> Result<Payload, String> {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(self.next).as_bytes();
        self.variables.set(PLACE, digits);
        self.buffer.reserve(self.template.len() + digits.len());
        let filled = fill_request(
            &self.template,
            &self.replaces,
            &self.variables,
            &mut self.buffer,
            &mut self.lengths,
        );
        filled.map_err(|error| error.to_string())?;
        let payload = Payload::Memory(self.buffer.split().freeze());
        let plan = self.record.plan.as_deref();
        match plan.is_some_and(|plan| self.scripts.edits(plan, &payload)) {
            // It is changed again, and prepared after that.
            true => Ok(payload),
            false => self.scripts.sent(payload, plan),
        }
    }

    /// The record of the next hit.
    pub(crate) fn next(&mut self) -> Next {
        if self.left == 0 || self.broken.is_some() {
            return Next::End;
        }
        match self.payload() {
            Ok(payload) => {
                self.left -= 1;
                self.next += self.step;
                Next::Record(Planned {
                    record: Record {
                        payload,
                        ..self.record.record.clone()
                    },
                    plan: self.record.plan.clone(),
                })
            }
            Err(reason) => {
                self.broken = Some(format!("hit {}: {reason}", self.next));
                Next::End
            }
        }
    }

    /// Why no further hit can be made of the record.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }
}
