"""What a user installs: wheel and source archive, on the oldest and the newest Python of this machine."""
