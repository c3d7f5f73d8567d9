mod document;
mod handlers;
mod vectors;
