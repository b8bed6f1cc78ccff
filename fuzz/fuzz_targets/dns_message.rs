//! A message is read without panic, its names survive being written, and nothing reads differently
//! for being uncompressed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vane_engine::wire::dns::{Message, Writer};

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::parse(bytes) else { return };
    let mut writer = Writer::new(message.id, message.flags.opcode());
    for question in &message.questions {
        assert!(question.name.wire().len() <= 255);
        assert!(question.name.is_within(&question.name));
        writer.question(&question.name, question.kind);
    }
    let again = Message::parse(writer.bytes()).expect("what is written is well-formed");
    let names = |message: &Message| -> Vec<_> {
        message.questions.iter().map(|question| question.name.clone()).collect()
    };
    assert_eq!(names(&again), names(&message));
    for record in message.answers.iter().chain(&message.authority).chain(&message.additional) {
        assert!(record.start < bytes.len());
        let _ = record.name.to_string();
    }
});
