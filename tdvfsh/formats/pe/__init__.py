"""PE/COFF images and what is made of them: headers, layout, loading, unified kernel images."""
