//! The bridge between Africa's Talking and Medic.
