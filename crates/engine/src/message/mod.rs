//! The fields and the target of a message: what is taken away, put in and read before it is
//! passed on. Everything here works on values; nothing is sent.
