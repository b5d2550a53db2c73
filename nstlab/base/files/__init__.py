"""Files: picture decoding, the sample pictures, the files of filters, atomic writing, and locks."""
