"""The tests of Heliostat; a package, so that no other package of this name can take its place."""
